import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { JwtRuleSpec, KeySourceSpec } from "../../../src/config/snapshot-jwt.ts";
import { KeySets, type KeySetsParts } from "../../../src/control/key-sets.ts";
import { SavedKeys } from "../../../src/control/saved-keys.ts";
import { type JsonWebKeySpec, readKeySet } from "../../../src/core/json-web-key-set.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { rule } from "../filter/jwt-fixtures.ts";

const MINUTE = 60_000;

interface Fetching {
  readonly name: string;
  readonly timeoutMs: number;
  succeed(keys: readonly JsonWebKeySpec[]): Promise<void>;
  fail(): Promise<void>;
}

/** Key sets whose fetches the test answers. */
function keySets(saved: KeySetsParts["saved"] = null, time = new ManualTime()) {
  const fetches: Fetching[] = [];
  const published: Record<string, readonly JsonWebKeySpec[]>[] = [];
  const warnings: Record<string, unknown>[] = [];
  const sets = new KeySets({
    clock: time, timers: time.timers,
    log: { info: () => undefined, warn: (_message, fields) => warnings.push({ ...fields }) },
    fetch: (source) => new Promise((resolve, reject) => {
      const settle = async (act: () => void): Promise<void> => {
        act();
        await new Promise(setImmediate);
      };
      fetches.push({ name: source.name, timeoutMs: source.timeoutMs, succeed: (keys) => settle(() => resolve(keys)), fail: () => settle(() => reject(new Error("down"))) });
    }),
    publish: (keys) => published.push(Object.fromEntries(keys)),
    counted: () => undefined,
    saved,
  });
  return { time, fetches, published, warnings, sets, last: () => fetches.at(-1) as Fetching };
}

const source = (name: string): KeySourceSpec => ({ name, kind: "jwks", url: `https://${name}`, timeoutMs: 5000 });
const rulesOf = (...names: string[]): JwtRuleSpec[] => names.map((name) => rule([], { keys: { kind: "remote", source: source(name) } }));
const A: JsonWebKeySpec = { kty: "RSA", n: "a", e: "AQAB" };
const B: JsonWebKeySpec = { kty: "RSA", n: "b", e: "AQAB" };

test("each source is fetched once at a time, however many rules name it, and every 20 minutes", async () => {
  const { sets, time, fetches, published, last } = keySets();
  sets.use(rulesOf("x", "x", "y"));
  sets.use(rulesOf("x", "y"));
  expect(fetches.map(({ name }) => name)).toEqual(["x", "y"]);
  await fetches[0]?.succeed([A]);
  await fetches[1]?.succeed([B]);
  expect(published).toEqual([{ x: [A] }, { x: [A], y: [B] }]);
  time.pass(20 * MINUTE - 1000);
  expect(fetches).toHaveLength(2);
  time.pass(1000);
  expect(fetches).toHaveLength(4);
  // The same keys are no news.
  await last().succeed([B]);
  expect(published).toHaveLength(2);
});

test("hostile row B19: the last good keys stay while their source fails, and it is asked again sooner", async () => {
  const { sets, time, fetches, published, last, warnings } = keySets();
  sets.use(rulesOf("x"));
  await last().succeed([A]);
  time.pass(20 * MINUTE);
  await last().fail();
  expect(published).toEqual([{ x: [A] }]);
  expect(sets.status()).toEqual([{ source: "x", keys: 1, ageSeconds: 1200, failures: 1, reason: "down", fromDisk: false }]);
  expect(warnings).toMatchObject([{ source: "x", reason: "down", consequence: "the last good ones are used" }]);
  const waits: number[] = [];
  for (let round = 0; round < 9; round++) {
    const known = fetches.length;
    let waited = 0;
    for (; fetches.length === known; waited += 1000) time.pass(1000);
    waits.push(waited / 1000);
    await last().fail();
  }
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  time.pass(MINUTE);
  await last().succeed([B]);
  expect(published.at(-1)).toEqual({ x: [B] });
});

test("CVE-2026-31837: a source that never answered has no keys at all", async () => {
  const { sets, published, last, warnings } = keySets();
  sets.use(rulesOf("x"));
  await last().fail();
  expect(published).toEqual([]);
  expect(sets.status()).toEqual([{ source: "x", keys: 0, ageSeconds: null, failures: 1, reason: "down", fromDisk: false }]);
  expect(warnings).toMatchObject([{ consequence: "its tokens are refused" }]);
});

test("a key that nobody knows has its source asked, every 30 seconds at most", async () => {
  const { sets, time, fetches, last } = keySets();
  sets.use(rulesOf("x"));
  sets.missing("x");
  await last().succeed([A]);
  sets.missing("x");
  sets.missing("unheard-of");
  expect(fetches).toHaveLength(1);
  time.pass(30_000);
  sets.missing("x");
  sets.missing("x");
  expect(fetches).toHaveLength(2);
});

test("a source that no rule names any more is forgotten, even while it is fetched", async () => {
  const { sets, time, fetches, published, last } = keySets();
  sets.use(rulesOf("x", "y"));
  await fetches[0]?.succeed([A]);
  sets.use(rulesOf("y"));
  expect(published.at(-1)).toEqual({});
  const late = last();
  sets.use([]);
  await late.succeed([B]);
  expect(published.at(-1)).toEqual({});
  time.pass(40 * MINUTE);
  expect(fetches).toHaveLength(2);
});

// Symptom: a rule's `timeout` that was changed counted only after a restart. Cause: a source known by its name stayed as it was first
// written. Fix: the newest counts from the next fetch on.
test("a source whose timeout is changed is the same source, asked with the new one from then on", async () => {
  const { sets, fetches, last, time, published } = keySets();
  sets.use(rulesOf("x"));
  await last().succeed([A]);
  sets.use([rule([], { keys: { kind: "remote", source: { ...source("x"), timeoutMs: 100 } } })]);
  expect([fetches.length, published]).toEqual([1, [{ x: [A] }]]);
  time.pass(20 * MINUTE);
  expect(fetches.map(({ timeoutMs }) => timeoutMs)).toEqual([5000, 100]);
});

test("whoever waits is told when each source was tried, in vain or not", async () => {
  const { sets, fetches } = keySets();
  let isDone = false;
  sets.use(rulesOf("x", "y"), () => {
    isDone = true;
  });
  await fetches[0]?.succeed([A]);
  expect(isDone).toBe(false);
  await fetches[1]?.fail();
  expect(isDone).toBe(true);
});

describe("over a restart", () => {
  const HOUR = 60 * MINUTE;
  let folder = "";
  const told: [string, unknown][] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "outrider-keys-"));
    told.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const savedKeys = (time: ManualTime): SavedKeys => {
    const directory = folder;
    // What a test before began to write may fail only now.
    const log = (message: string, fields?: object): void => void (directory === folder && told.push([message, fields]));
    return new SavedKeys({ directory, clock: time, log: { info: log, warn: log, error: log } });
  };
  const file = (): string => join(folder, "token-keys.json");
  /** A run that fetched `keys` of x, and ended. */
  async function firstRun(time: ManualTime, keys: readonly JsonWebKeySpec[] = [A]): Promise<void> {
    const run = keySets(savedKeys(time), time);
    run.sets.use(rulesOf("x"));
    await run.last().succeed(keys);
    await run.sets.settled();
    run.sets.stop();
  }

  test("the keys of an earlier run are in force at once, whether their source answers or not, and their age is known", async () => {
    const time = new ManualTime();
    await firstRun(time);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    time.pass(HOUR);
    const { sets, published, fetches, last, warnings } = keySets(savedKeys(time), time);
    let isDone = false;
    sets.use(rulesOf("x", "y"), () => {
      isDone = true;
    });
    expect(published).toEqual([{ x: [A] }]);
    expect(sets.status()).toMatchObject([{ source: "x", keys: 1, ageSeconds: 3600, fromDisk: true }, { source: "y", keys: 0, ageSeconds: null, fromDisk: false }]);
    // They are asked for all the same, and whoever waits for that waits.
    expect([fetches.map(({ name }) => name), isDone]).toEqual([["x", "y"], false]);
    await fetches[0]?.fail();
    await fetches[1]?.fail();
    expect(isDone).toBe(true);
    expect(warnings).toMatchObject([{ source: "x", consequence: "the last good ones are used" }, { source: "y", consequence: "its tokens are refused" }]);
    time.pass(1000);
    await fetches[2]?.succeed([B]);
    expect([last().name, published.at(-1)]).toEqual(["y", { x: [B] }]);
    expect(sets.status()[0]).toMatchObject({ ageSeconds: 0, fromDisk: false });
  });

  test("CVE-2026-31837: those of other sources, the too old, secrets and what is damaged are not used", async () => {
    const time = new ManualTime();
    const kept = (text: string): Record<string, unknown>[] => {
      writeFileSync(file(), text);
      const { sets, published } = keySets(savedKeys(time), time);
      sets.use(rulesOf("x"));
      return published;
    };
    const written = (change: object): string => JSON.stringify({ format: 1, sources: [{ name: "x", fetchedAtMs: time.wallMs(), keys: [A], ...change }] });
    expect(kept(written({}))).toEqual([{ x: [A] }]);
    for (const change of [
      { name: "z" }, { fetchedAtMs: time.wallMs() - 24 * HOUR - 1 }, { fetchedAtMs: time.wallMs() + HOUR }, { fetchedAtMs: "now" }, { keys: [] }, { keys: "no" },
      { keys: [{ kty: "oct", k: Buffer.alloc(32).toString("base64url") }] }, { keys: [{ ...A, use: "enc" }] },
    ]) expect([change, kept(written(change))]).toEqual([change, []]);
    for (const text of ["", "{", "[]", "null", '{"format":2,"sources":[]}', written({}).slice(0, -4), "x".repeat(5 * 1024 * 1024)]) expect(kept(text)).toEqual([]);
    expect(told.filter(([message]) => message === "saved keys of issuers not used")).toHaveLength(7);
  });

  test("nothing is written but what verifies; a folder that cannot be written is told once and keeps nobody from serving", async () => {
    const time = new ManualTime();
    await firstRun(time, readKeySet(JSON.stringify({ keys: [{ ...A, d: "private", p: "private" }] }), false) ?? []);
    expect(readFileSync(file(), "utf8")).toBe(JSON.stringify({ format: 1, sources: [{ name: "x", fetchedAtMs: time.wallMs(), keys: [{ kty: "RSA", e: "AQAB", n: "a" }] }] }).replace('"e":"AQAB","n":"a"', '"n":"a","e":"AQAB"'));
    rmSync(folder, { recursive: true });
    writeFileSync(folder, "not a folder");
    const { sets, last, published } = keySets(savedKeys(time), time);
    sets.use(rulesOf("x"));
    for (let round = 0; round < 3; round++) {
      await last().succeed([B]);
      await sets.settled();
      time.pass(20 * MINUTE);
    }
    expect(published).toEqual([{ x: [B] }]);
    expect(told.filter(([message]) => message === "keys of issuers not saved")).toHaveLength(1);
  });

  // Symptom: after a restart, keys of an issuer that had been taken away were in force when a rule named it again. Cause: the file was
  // written at the next success only, which never came where that issuer was the last. Fix: it is written when one is taken away.
  test("what is gone from the configuration is gone from the file, at once, the last one too", async () => {
    const time = new ManualTime();
    const { sets, fetches } = keySets(savedKeys(time), time);
    sets.use(rulesOf("x", "y"));
    await fetches[0]?.succeed([A]);
    await fetches[1]?.succeed([B]);
    await sets.settled();
    for (const left of [["y"], []]) {
      sets.use(rulesOf(...left));
      await sets.settled();
      expect([...savedKeys(time).load().keys()]).toEqual(left);
    }
  });

  test("one that is taken away takes nothing else with it: neither what is in force, nor what is new and was kept from an earlier run", async () => {
    const time = new ManualTime();
    await firstRun(time);
    const { sets, fetches } = keySets(savedKeys(time), time);
    sets.use(rulesOf("y", "z"));
    // Not answered yet, so that nothing was saved of this run: x is still there for whoever names it.
    sets.use(rulesOf("z"));
    await sets.settled();
    expect([...savedKeys(time).load().keys()]).toEqual(["x"]);
    await fetches[1]?.succeed([B]);
    sets.use(rulesOf("x"));
    await sets.settled();
    expect([...savedKeys(time).load()]).toMatchObject([["x", { keys: [A] }]]);
  });

  test("readiness is told when the keys are in force", async () => {
    const { sets, last, published } = keySets();
    const seen: unknown[] = [];
    sets.use(rulesOf("x"), () => seen.push(...published));
    await last().succeed([A]);
    expect(seen).toEqual([{ x: [A] }]);
  });
});
