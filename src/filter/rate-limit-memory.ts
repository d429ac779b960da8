import { randomBytes } from "node:crypto";
import type { KeyedBucketSpec, RateLimitSpec } from "../config/snapshot-route.ts";
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

/** Memory for the buckets of a limit, all full. Nobody who sends requests may guess by which key they are found. */
export function allocate(limit: RateLimitSpec): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(layoutOf(limit).cells * Int32Array.BYTES_PER_ELEMENT);
  new Uint8Array(buffer).set(randomBytes(HASH_KEY_CELLS * Int32Array.BYTES_PER_ELEMENT));
  return buffer;
}
