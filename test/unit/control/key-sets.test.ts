import { expect, test } from "vitest";

import type { JwtRuleSpec, KeySourceSpec } from "../../../src/config/snapshot-jwt.ts";
import { KeySets } from "../../../src/control/key-sets.ts";
import type { JsonWebKeySpec } from "../../../src/core/json-web-key-set.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { rule } from "../filter/jwt-fixtures.ts";

const MINUTE = 60_000;

interface Fetching {
  readonly name: string;
  succeed(keys: readonly JsonWebKeySpec[]): Promise<void>;
  fail(): Promise<void>;
}

/** Key sets whose fetches the test answers. */
function keySets() {
  const time = new ManualTime();
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
      fetches.push({ name: source.name, succeed: (keys) => settle(() => resolve(keys)), fail: () => settle(() => reject(new Error("down"))) });
    }),
    publish: (keys) => published.push(Object.fromEntries(keys)),
    counted: () => undefined,
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
  expect(sets.status()).toEqual([{ source: "x", keys: 1, ageSeconds: 1200, failures: 1, reason: "down" }]);
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
  expect(sets.status()).toEqual([{ source: "x", keys: 0, ageSeconds: null, failures: 1, reason: "down" }]);
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
