import { describe, expect, it } from "vitest";
import { HalfSipHash } from "../../../src/core/half-sip-hash.ts";
import { BucketTable } from "../../../src/filter/bucket-table.ts";
import { TokenBucket } from "../../../src/filter/token-bucket.ts";

const NOW = 1e15;
const ONCE = new TokenBucket({ maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 60_000 });

/** A table for `capacity` keys behind a piece of memory that is somebody else's. */
function table(capacity: number): { readonly table: BucketTable; readonly cells: Int32Array; readonly evicted: () => number } {
  const offset = 6;
  const buffer = new SharedArrayBuffer((offset + BucketTable.cellsFor(capacity) + 6) * 4);
  let evicted = 0;
  return { table: new BucketTable(buffer, offset, capacity, new HalfSipHash(1, 2), () => evicted++), cells: new Int32Array(buffer), evicted: () => evicted };
}

describe("a table of buckets", () => {
  it.each([1, 4, 5, 20, 1000])("for %i keys has a bucket for each of them, and stays in its memory", (capacity) => {
    const { table: buckets, cells, evicted } = table(capacity);
    const keys = Array.from({ length: capacity }, (_, index) => `key ${index}`);
    expect(keys.map((key) => buckets.take(key, ONCE, NOW))).toEqual(keys.map(() => true));
    // Chance may give eight places more than eight keys; seldom.
    expect(evicted()).toBeLessThanOrEqual(capacity / 50);
    expect(keys.filter((key) => buckets.take(key, ONCE, NOW)).length).toBeLessThanOrEqual(capacity / 10);
    expect([...cells.subarray(0, 6), ...cells.subarray(cells.length - 6)]).toEqual(Array.from({ length: 12 }, () => 0));
  });

  it("goes on when a thread has ended while it made a bucket", () => {
    const { table: buckets, cells } = table(4);
    // The lock of the only set.
    Atomics.store(cells, 6, 1);
    expect([buckets.take("a", ONCE, NOW), buckets.take("a", ONCE, NOW), buckets.take("b", ONCE, NOW)]).toEqual([true, false, true]);
    expect(Atomics.load(cells, 6)).toBe(0);
  });

  it("gives up the bucket that is full first", () => {
    const { table: buckets, evicted } = table(4);
    for (let index = 0; index < 8; index++) expect(buckets.take(`key ${index}`, ONCE, NOW + index)).toBe(true);
    expect([buckets.take("one more", ONCE, NOW + 8), evicted()]).toEqual([true, 1]);
    expect(buckets.take("key 7", ONCE, NOW + 8)).toBe(false);
    expect([buckets.take("key 0", ONCE, NOW + 8), evicted()]).toEqual([true, 2]);
  });
});
