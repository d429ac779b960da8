import type { KeyedBucketSpec, RateLimitSpec } from "../config/snapshot-route.ts";
import type { Random } from "../core/random.ts";
import { BucketTable } from "./bucket-table.ts";

/** The key by which keys are hashed stands first, in cells of 32 bits. */
export const HASH_KEY_CELLS = 2;
const STATE_CELLS = 2;

/** Where the buckets of a limit are, in cells of 32 bits. */
export interface RateLimitLayout {
  /** As `buckets` of the limit. */
  readonly buckets: readonly (readonly number[])[];
  readonly total: number;
  readonly cells: number;
}

/** True where a bucket of this kind is really many. */
export function isTable({ keys }: KeyedBucketSpec): boolean {
  return keys.some(({ each }) => each);
}

/** The same for equal limits, so that threads that were told the limit apart find the same buckets. */
export function layoutOf({ buckets }: RateLimitSpec): RateLimitLayout {
  let next = HASH_KEY_CELLS;
  const place = (cells: number): number => {
    next += cells;
    return next - cells;
  };
  const total = place(STATE_CELLS);
  const places = buckets.map((list) => list.map((spec) => place(isTable(spec) ? BucketTable.cellsFor(spec.maxBuckets) : STATE_CELLS)));
  return { buckets: places, total, cells: next };
}

/** The same for limits whose buckets mean the same: theirs live on when a new snapshot comes into force. */
export function memoryKey({ name, buckets, total }: RateLimitSpec): string {
  return JSON.stringify([name, buckets, total]);
}

/** Memory for the buckets of a limit, all full. `random` makes the key that nobody who sends requests may know. */
export function allocate(limit: RateLimitSpec, random: Random): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(layoutOf(limit).cells * Int32Array.BYTES_PER_ELEMENT);
  const cells = new Int32Array(buffer, 0, HASH_KEY_CELLS);
  for (let at = 0; at < HASH_KEY_CELLS; at++) cells[at] = random() * 0x1_0000_0000;
  return buffer;
}
