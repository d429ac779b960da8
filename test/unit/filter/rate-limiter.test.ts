import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RateLimitSpec, TokenBucketSpec } from "../../../src/config/snapshot-route.ts";
import { allocate, type MemoryPart, partsOf } from "../../../src/filter/rate-limit-memory.ts";
import type { FilterRequest } from "../../../src/filter/filter-chain.ts";
import { NO_FILTER_METRICS } from "../../../src/filter/filter-metrics.ts";
import { RateLimiters } from "../../../src/filter/rate-limiters.ts";
import { RateLimiter } from "../../../src/filter/rate-limiter.ts";
import { byHeader, keyOf, limitOf, requestOf } from "./limited-request.ts";
import type { TakerStart } from "./token-taker.ts";

const MS = 1e6;
const user = (name: string) => requestOf({ headers: [["x-user", name]] });

/** The most tokens that were taken in any window beyond what came in during it. */
function mostAtOnce(timesNs: readonly number[], { tokensPerFill, fillIntervalMs }: TokenBucketSpec): number {
  const perTokenNs = (fillIntervalMs * MS) / tokensPerFill;
  let most = 0;
  let least = Infinity;
  timesNs.toSorted((a, b) => a - b).forEach((time, index) => {
    const ahead = index - time / perTokenNs;
    least = Math.min(least, ahead);
    most = Math.max(most, ahead - least + 1);
  });
  return most;
}

function limiter(spec: RateLimitSpec, evicted = () => {}): RateLimiter {
  const { buckets, total } = partsOf(spec);
  return new RateLimiter(spec, { buckets: buckets === null ? null : allocate(buckets), total: total === null ? null : allocate(total) }, evicted);
}

describe("a token bucket", () => {
  it("never gives more than it holds and what comes in, in any window, whenever it is asked", () => {
    const arbitrary = fc.record({
      bucket: fc.record({ maxTokens: fc.integer({ min: 1, max: 50 }), tokensPerFill: fc.integer({ min: 1, max: 50 }), fillIntervalMs: fc.integer({ min: 1, max: 5000 }) }),
      waits: fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 400 }),
    });
    fc.assert(fc.property(arbitrary, ({ bucket, waits }) => {
      const one = limiter(limitOf({ total: bucket }));
      let nowNs = 5e15;
      const taken = waits.flatMap((waitMs) => {
        nowNs += waitMs * MS;
        return one.take(requestOf(), nowNs)?.isTaken === true ? [nowNs] : [];
      });
      expect(mostAtOnce(taken, bucket)).toBeLessThanOrEqual(bucket.maxTokens + 1e-3);
    }), { numRuns: 200 });
  });

  it("gives all it holds at once, and what comes in evenly", () => {
    const one = limiter(limitOf({ total: { maxTokens: 3, tokensPerFill: 2, fillIntervalMs: 1000 } }));
    const at = (ms: number): boolean | undefined => one.take(requestOf(), 1e15 + ms * MS)?.isTaken;
    expect([at(0), at(0), at(0), at(0), at(499), at(500), at(500), at(1000), at(60_000), at(60_000), at(60_000), at(60_000)])
      .toEqual([true, true, true, false, false, true, false, true, true, true, true, false]);
  });

  it("says what is left, and how long to wait", () => {
    const one = limiter(limitOf({ total: { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 10_000 } }));
    expect(one.take(requestOf(), 1e15)).toMatchObject({ isTaken: true, remaining: 1, resetS: 10 });
    expect(one.take(requestOf(), 1e15)).toMatchObject({ isTaken: true, remaining: 0, resetS: 20 });
    expect(one.take(requestOf(), 1e15 + 3000 * MS)).toMatchObject({ isTaken: false, remaining: 0, resetS: 17, waitS: 7 });
  });
});

describe("buckets by key", () => {
  const bucket = { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 10_000 };

  it("are the first of a list that fits, the slowest of several lists first, and the rest only if none did (spec/00 0.6)", () => {
    const exact = { ...byHeader("x-user", { ...bucket, maxTokens: 2 }), keys: [keyOf("header", { name: "x-user", match: { kind: "exact", value: "anna" } })] };
    const one = limiter(limitOf({ buckets: [[exact, byHeader("x-user", bucket)]], total: { ...bucket, maxTokens: 1 } }));
    const take = (name: string | null): boolean | undefined => one.take(name === null ? requestOf() : user(name), 1e15)?.isTaken;
    expect([take("anna"), take("anna"), take("anna")]).toEqual([true, true, false]);
    expect([take("bob"), take("bob"), take("carl")]).toEqual([true, false, true]);
    expect([take(null), take(null)]).toEqual([true, false]);
  });

  it("leave the total alone only where that is wanted", () => {
    const one = limiter(limitOf({ buckets: [[byHeader("x-user", bucket)]], total: { ...bucket, maxTokens: 2 }, alwaysTakesTotal: true }));
    expect(["a", "b", "c"].map((name) => one.take(user(name), 1e15)?.isTaken)).toEqual([true, true, false]);
  });

  it("are bounded: what is most nearly full makes room, and of the crowd nobody gains more than a full bucket", () => {
    let evicted = 0;
    const one = limiter(limitOf({ buckets: [[byHeader("x-user", { ...bucket, maxTokens: 5 }, 8)]] }), () => evicted++);
    for (let index = 0; index < 5; index++) expect(one.take(user("anna"), 1e15)?.isTaken).toBe(true);
    for (let crowd = 0; crowd < 10_000; crowd++) one.take(user(`crowd-${crowd}`), 1e15 + crowd);
    // Hers is the emptiest of all, so it stays.
    expect(one.take(user("anna"), 1e15 + 10_000)?.isTaken).toBe(false);
    expect(evicted).toBeGreaterThan(9000);
  });

  it("that are full again are nobody's loss", () => {
    let evicted = 0;
    const one = limiter(limitOf({ buckets: [[byHeader("x-user", bucket, 8)]] }), () => evicted++);
    for (let crowd = 0; crowd < 1000; crowd++) expect(one.take(user(`crowd-${crowd}`), 1e15 + crowd * 10_000 * MS)?.isTaken).toBe(true);
    expect(evicted).toBe(0);
  });

  it.each([
    ["principal", { peer: "spiffe://cluster.local/ns/front/sa/web" }, "cluster.local/ns/front/sa/web"],
    ["namespace", { peer: "spiffe://cluster.local/ns/front/sa/web" }, "front"],
    ["method", { method: "PUT" }, "PUT"],
    ["path", { path: "/a/b?c=d" }, "/a/b"],
    ["host", {}, "reviews"],
    ["address", {}, "10.0.0.3"],
  ] as const)("are told apart by %s", (kind, request, value) => {
    const one = limiter(limitOf({ buckets: [[{ keys: [keyOf(kind, { match: { kind: "exact", value } }), keyOf(kind, { each: true })], bucket, maxBuckets: 10 }]] }));
    expect([one.take(requestOf(request), 1e15)?.isTaken, one.take(requestOf(request), 1e15)?.isTaken]).toEqual([true, false]);
    expect(one.bucketsFor(requestOf(request))[0]?.keys[1]?.valueIn(requestOf(request))).toBe(value);
  });

  it("are told apart by a query parameter, and by all keys together", () => {
    const keys = [keyOf("query", { name: "q", each: true, takesAbsent: true }), keyOf("header", { name: "x-user", each: true, takesAbsent: true })];
    const one = limiter(limitOf({ buckets: [[{ keys, bucket, maxBuckets: 10 }]] }));
    const take = (path: string, name?: string): boolean | undefined => one.take(requestOf({ path, ...(name === undefined ? {} : { headers: [["x-user", name]] }) }), 1e15)?.isTaken;
    expect([take("/?q=a", "b"), take("/?q=b", "a"), take("/?q=ab"), take("/", "ab"), take("/?q=a", "b"), take("/?q=ab")]).toEqual([true, true, true, true, false, false]);
  });

  it.each([
    [{ match: { kind: "exact", value: "a" }, isInverted: true }, "a", false],
    [{ match: { kind: "exact", value: "a" }, isInverted: true }, "b", true],
    [{ match: { kind: "exact", value: "a" }, isInverted: true }, null, true],
    [{ match: null, isInverted: true }, "a", false],
    [{ match: null, isInverted: true }, null, true],
    [{ match: null }, null, false],
    [{ match: { kind: "exact", value: "" }, takesAbsent: true }, null, true],
  ] as const)("%j fits %j: %j", (condition, value, fits) => {
    const one = limiter(limitOf({ buckets: [[{ keys: [keyOf("header", { name: "x", ...condition })], bucket, maxBuckets: 1 }]] }));
    expect(one.take(requestOf(value === null ? {} : { headers: [["x", value]] }), 1e15) !== null).toBe(fits);
  });
});

describe("limits of one name that are counted by different things", () => {
  const bucket = { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 10_000 };
  const counted = { ...byHeader("x-user", { ...bucket, maxTokens: 100 }) };

  it.each([false, true])("have one total, of the connection where it has its own: %j", (isPerConnection) => {
    const limiters = new RateLimiters({ clock: { monotonicMs: () => 5000, wallMs: () => 0 }, timeOffsetMs: 0 }, NO_FILTER_METRICS);
    const specs = [limitOf({ total: bucket, isPerConnection }), limitOf({ total: bucket, buckets: [[counted]], alwaysTakesTotal: true, isPerConnection })];
    const take = (at: number, request: FilterRequest): boolean | undefined => limiters.of(specs[at] as RateLimitSpec, request.connection).take(request, limiters.nowNs())?.isTaken;
    const [one, other] = [user("anna"), user("anna")];
    expect([take(0, one), take(1, one), take(0, one), take(1, one)]).toEqual([true, true, false, false]);
    expect(take(0, other)).toBe(isPerConnection);
  });
});

describe("several threads", () => {
  const TAKERS = 3;
  const KEYS = 5000;

  async function takeTogether(spec: RateLimitSpec, keys: number): Promise<{ byKey: Map<number, number[]>; evicted: number }> {
    const seen = new SharedArrayBuffer(12);
    const taken = new SharedArrayBuffer(16 * 500_000);
    const start: TakerStart = { spec, memory: allocate((partsOf(spec).buckets ?? partsOf(spec).total) as MemoryPart), seen, taken, takers: TAKERS, keys, forMs: 300 };
    const workers = Array.from({ length: TAKERS }, () => new Worker(join(import.meta.dirname, "token-taker.ts"), { workerData: start }));
    await Promise.all(workers.map(async (worker) => once(worker, "exit")));
    const [began, count, evicted] = new Int32Array(seen);
    expect(began).toBe(TAKERS);
    const times = new Float64Array(taken);
    const byKey = new Map<number, number[]>();
    for (let at = 0; at < (count ?? 0); at++) {
      const key = times[2 * at] as number;
      const own = byKey.get(key) ?? [];
      own.push(times[2 * at + 1] as number);
      byKey.set(key, own);
    }
    return { byKey, evicted: evicted ?? 0 };
  }

  it("together never take more of a bucket than it holds and what comes in, in any window", async () => {
    const bucket = { maxTokens: 20, tokensPerFill: 200, fillIntervalMs: 1 };
    const { byKey } = await takeTogether(limitOf({ total: bucket }), 1);
    const times = byKey.get(0) ?? [];
    expect(times.length).toBeGreaterThan(bucket.maxTokens);
    expect(mostAtOnce(times, bucket)).toBeLessThanOrEqual(bucket.maxTokens + 1e-3);
  });

  it("nor of any bucket of a table that they fill at the same time", async () => {
    const bucket = { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 100 };
    const { byKey, evicted } = await takeTogether(limitOf({ buckets: [[byHeader("x-user", bucket, 30_000)]] }), KEYS);
    expect([byKey.size, evicted]).toEqual([KEYS, 0]);
    for (const times of byKey.values()) expect(mostAtOnce(times, bucket)).toBeLessThanOrEqual(bucket.maxTokens + 1e-3);
  });
});
