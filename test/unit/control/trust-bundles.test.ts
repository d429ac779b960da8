import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { SavedTrustBundles } from "../../../src/control/saved-trust-bundles.ts";
import { TrustBundles } from "../../../src/control/trust-bundles.ts";
import type { SpiffeBundle } from "../../../src/identity/spiffe-bundle.ts";
import { ManualTime } from "../../integration/manual-time.ts";
import { newCa } from "../identity/test-mesh.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const URL_A = "https://a.example/bundle";
const URL_B = "https://b.example/bundle";

interface Fetching {
  readonly url: string;
  succeed(bundle: Partial<SpiffeBundle>): Promise<void>;
  fail(): Promise<void>;
}

/** Trust bundles whose fetches the test answers. */
function trustBundles(saved: SavedTrustBundles | null = null, time = new ManualTime()) {
  const fetches: Fetching[] = [];
  const warnings: Record<string, unknown>[] = [];
  let changes = 0;
  const counts = { success: 0, failure: 0 };
  const bundles = new TrustBundles({
    clock: time, timers: time.timers, saved,
    log: { info: () => undefined, warn: (_message, fields) => warnings.push({ ...fields }) },
    fetch: (url) => new Promise((resolve, reject) => {
      const settle = async (act: () => void): Promise<void> => {
        act();
        await new Promise(setImmediate);
      };
      fetches.push({
        url,
        succeed: (bundle) => settle(() => resolve({ pem: "A", sequence: null, refreshHintSeconds: null, ...bundle })),
        fail: () => settle(() => reject(new Error("down"))),
      });
    }),
    changed: () => changes++,
    counted: (isSuccess) => counts[isSuccess ? "success" : "failure"]++,
  });
  const use = (...urls: string[]): boolean[] => {
    const tried: boolean[] = [];
    bundles.use(new Set(urls), () => tried.push(true));
    return tried;
  };
  return { time, fetches, warnings, bundles, use, counts, changes: () => changes, last: () => fetches.at(-1) as Fetching };
}

/** Milliseconds until the next fetch, to the second. */
function untilNext({ time, fetches }: ReturnType<typeof trustBundles>, limitMs: number): number {
  const before = fetches.length;
  for (let passed = 0; passed < limitMs; passed += SECOND) {
    if (fetches.length > before) return passed;
    time.pass(SECOND);
  }
  return limitMs;
}

test("a URL is fetched at once, and what it gives is told only when it is news", async () => {
  const subject = trustBundles();
  const { use, bundles, last, changes, counts } = subject;
  const tried = use(URL_A);
  expect([bundles.pemOf(URL_A), tried]).toEqual(["", []]);
  await last().succeed({ pem: "A" });
  expect([bundles.pemOf(URL_A), tried, changes()]).toEqual(["A", [true], 1]);
  expect(untilNext(subject, 10 * MINUTE)).toBeCloseTo(5 * MINUTE, -4);
  await last().succeed({ pem: "A" });
  expect([changes(), counts]).toEqual([1, { success: 2, failure: 0 }]);
});

test.each<[string, number, number]>([
  ["as often as the bundle asks for", 600, 10 * MINUTE],
  ["no more than once a minute", 1, MINUTE],
  ["no less than once a day", 10_000_000, 24 * 60 * MINUTE],
])("it is fetched again %s", async (_what, refreshHintSeconds, expectedMs) => {
  const subject = trustBundles();
  subject.use(URL_A);
  await subject.last().succeed({ refreshHintSeconds });
  const waited = untilNext(subject, 2 * 24 * 60 * MINUTE);
  expect(Math.abs(waited - expectedMs)).toBeLessThanOrEqual(2 * SECOND);
});

test("the last good bundle stays while its URL fails, and it is asked again sooner", async () => {
  const subject = trustBundles();
  const { use, bundles, last, warnings, time, changes } = subject;
  use(URL_A);
  await last().succeed({ pem: "A" });
  time.pass(5 * MINUTE + SECOND);
  const waits: number[] = [];
  for (let attempt = 0; attempt < 8; attempt++) {
    await last().fail();
    waits.push(Math.round(untilNext(subject, 2 * MINUTE) / SECOND));
  }
  expect(waits.every((wait, index) => index === 0 || wait >= (waits[index - 1] as number))).toBe(true);
  expect(waits.at(-1)).toBeLessThanOrEqual(61);
  expect([bundles.pemOf(URL_A), changes()]).toEqual(["A", 1]);
  expect(warnings[0]).toEqual({ url: URL_A, reason: "down", failures: 1, consequence: "the last good one is used" });
  expect(bundles.status()).toMatchObject([{ url: URL_A, hasBundle: true, failures: 8, reason: "down" }]);
});

test("of an endpoint that never answered nothing is believed, and the others do not wait for it", async () => {
  const { use, bundles, fetches, warnings } = trustBundles();
  const tried = use(URL_A, URL_B);
  await fetches[0]?.succeed({ pem: "A" });
  expect(tried).toEqual([]);
  await fetches[1]?.fail();
  expect([bundles.pemOf(URL_B), tried]).toEqual(["", [true]]);
  expect(warnings).toMatchObject([{ url: URL_B, consequence: "nobody is believed for it" }]);
});

test("a bundle that is older by its sequence is refused by name, one that revokes all is obeyed", async () => {
  const { use, bundles, last, warnings, time } = trustBundles();
  use(URL_A);
  await last().succeed({ pem: "A", sequence: 7 });
  time.pass(5 * MINUTE + SECOND);
  await last().succeed({ pem: "OLD", sequence: 6 });
  expect(bundles.pemOf(URL_A)).toBe("A");
  expect(warnings).toMatchObject([{ reason: `${URL_A} has spiffe_sequence 6 though 7 was in force: an older bundle could bring back roots that were revoked` }]);
  time.pass(2 * SECOND);
  await last().succeed({ pem: "", sequence: 8 });
  expect(bundles.pemOf(URL_A)).toBe("");
});

test("a document without a sequence does not make the one before it forgotten", async () => {
  const { use, bundles, last, time } = trustBundles();
  use(URL_A);
  await last().succeed({ pem: "A", sequence: 7 });
  time.pass(5 * MINUTE + SECOND);
  await last().succeed({ pem: "B" });
  expect([bundles.pemOf(URL_A), bundles.status()[0]?.sequence]).toEqual(["B", 7]);
  time.pass(5 * MINUTE + SECOND);
  await last().succeed({ pem: "OLD", sequence: 6 });
  expect(bundles.pemOf(URL_A)).toBe("B");
});

test("a reload fetches at once, but not beside a fetch under way", async () => {
  const { use, bundles, fetches, last, time } = trustBundles();
  use(URL_A);
  bundles.reload();
  expect(fetches).toHaveLength(1);
  await last().succeed({ refreshHintSeconds: 600 });
  bundles.reload();
  expect(fetches).toHaveLength(2);
  await last().fail();
  bundles.reload();
  expect(fetches).toHaveLength(3);
  await last().succeed({ refreshHintSeconds: 600 });
  time.pass(9 * MINUTE);
  expect(fetches).toHaveLength(3);
});

test("a URL that is named no longer is asked no longer, and its late answer changes nothing", async () => {
  const { use, bundles, fetches, last, changes, time } = trustBundles();
  use(URL_A);
  const late = last();
  use();
  await late.succeed({ pem: "A" });
  expect([bundles.pemOf(URL_A), changes()]).toEqual(["", 0]);
  time.pass(10 * MINUTE);
  expect(fetches).toHaveLength(1);
  // As well between two fetches.
  use(URL_A);
  await last().succeed({ pem: "A" });
  use();
  time.pass(10 * MINUTE);
  expect(fetches).toHaveLength(2);
  use(URL_A);
  bundles.stop();
  await last().succeed({ pem: "A" });
  time.pass(10 * MINUTE);
  expect(fetches).toHaveLength(3);
});

describe("over a restart", () => {
  const HOUR = 60 * MINUTE;
  const PEM = newCa("a.example").rootPem;
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "outrider-bundles-"));
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const file = (): string => join(folder, "trust-bundles.json");
  const saved = (time: ManualTime): SavedTrustBundles =>
    new SavedTrustBundles({ directory: folder, clock: time, log: { info: () => undefined, warn: () => undefined, error: () => undefined } });
  /** A run that fetched a bundle, and ended. */
  async function firstRun(time: ManualTime, bundle: Partial<SpiffeBundle>): Promise<void> {
    const run = trustBundles(saved(time), time);
    run.use(URL_A);
    await run.last().succeed(bundle);
    await run.bundles.settled();
    run.bundles.stop();
  }

  test("the bundle of an earlier run is in force at once, a start waits for its URL all the same, and an older one stays refused", async () => {
    const time = new ManualTime();
    const run = trustBundles(saved(time), time);
    run.use(URL_A);
    await run.last().succeed({ pem: PEM, sequence: 7 });
    run.bundles.reload();
    await run.last().succeed({ pem: PEM });
    await run.bundles.settled();
    run.bundles.stop();
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    time.pass(HOUR);
    const { use, bundles, last, warnings } = trustBundles(saved(time), time);
    const tried = use(URL_A, URL_B);
    expect([bundles.pemOf(URL_A), bundles.pemOf(URL_B), tried]).toEqual([PEM, "", []]);
    expect(bundles.status()[0]).toMatchObject({ url: URL_A, hasBundle: true, sequence: 7, ageSeconds: 3600, fromDisk: true });
    await last().fail();
    expect(tried).toEqual([]);
    expect(warnings).toMatchObject([{ url: URL_B, consequence: "nobody is believed for it" }]);
  });

  test("what is more than a start would read is not written, which is told, and what is there stays", async () => {
    const time = new ManualTime();
    await firstRun(time, { pem: PEM, sequence: 7 });
    const errors: unknown[] = [];
    const store = new SavedTrustBundles({ directory: folder, clock: time, log: { info: () => undefined, warn: () => undefined, error: (message, fields) => errors.push([message, fields?.["reason"]]) } });
    const bundle = { pem: PEM.repeat(Math.ceil(4 * 1024 * 1024 / PEM.length)), sequence: 8, refreshHintSeconds: null };
    store.save(new Map([[URL_A, { bundle, fetchedAtMs: time.wallMs() }]]));
    await store.settled();
    expect(errors).toEqual([["trust bundles not saved", expect.stringMatching(/^would be \d+ bytes, at most 4194304 are read$/)]]);
    expect(store.load().get(URL_A)?.bundle.sequence).toBe(7);
  });

  test("a URL that was taken away is forgotten on disk as well, and so is its sequence", async () => {
    const time = new ManualTime();
    const run = trustBundles(saved(time), time);
    run.use(URL_A, URL_B);
    for (const fetch of run.fetches) await fetch.succeed({ pem: PEM, sequence: 7 });
    run.use(URL_B);
    await run.bundles.settled();
    const { use, bundles, fetches } = trustBundles(saved(time), time);
    use(URL_A, URL_B);
    expect([bundles.pemOf(URL_A), bundles.pemOf(URL_B)]).toEqual(["", PEM]);
    await fetches[0]?.succeed({ pem: PEM, sequence: 6 });
    expect(bundles.pemOf(URL_A)).toBe(PEM);
  });

  test("a bundle that is older than the one on disk is refused, a newer one takes its place", async () => {
    const time = new ManualTime();
    await firstRun(time, { pem: PEM, sequence: 7 });
    const { use, bundles, last } = trustBundles(saved(time), time);
    const tried = use(URL_A);
    await last().succeed({ pem: newCa("a.example").rootPem, sequence: 6 });
    expect([bundles.pemOf(URL_A), tried]).toEqual([PEM, [true]]);
    time.pass(2 * SECOND);
    await last().succeed({ pem: "", sequence: 8 });
    expect(bundles.status()[0]).toMatchObject({ sequence: 8, fromDisk: false });
    await bundles.settled();
    expect(saved(time).load().get(URL_A)?.bundle).toEqual({ pem: "", sequence: 8, refreshHintSeconds: null });
  });

  test("the too old, and what nobody could have fetched, is not used", async () => {
    const time = new ManualTime();
    const written = (change: object, bundle: object = {}): string =>
      JSON.stringify({ format: 1, sources: [{ name: URL_A, fetchedAtMs: time.wallMs(), bundle: { pem: PEM, sequence: null, refreshHintSeconds: null, ...bundle }, ...change }] });
    const kept = (text: string): string => {
      writeFileSync(file(), text);
      const { use, bundles } = trustBundles(saved(time), time);
      use(URL_A);
      bundles.stop();
      return saved(time).load().get(URL_A)?.bundle.pem ?? "none";
    };
    expect(kept(written({}))).toBe(PEM);
    for (const text of [
      written({ fetchedAtMs: time.wallMs() - 24 * HOUR - 1 }), written({ fetchedAtMs: time.wallMs() + HOUR }), written({ bundle: 1 }), written({}, { pem: "no root" }),
      written({}, { pem: newCa("a.example").issue("spiffe://a.example/ns/a/sa/b").certificateChainPem }), written({}, { sequence: "7" }), written({}, { refreshHintSeconds: -1 }), "", "{",
    ]) expect([text, kept(text)]).toEqual([text, "none"]);
  });
});
