import { randomBytes } from "node:crypto";
import type { KeyedBucketSpec, RateLimitSpec } from "../config/snapshot-route.ts";
import { BucketTable } from "./bucket-table.ts";

/** The key by which keys are hashed stands first, in cells of 32 bits. */
const HASH_KEY_CELLS = 2;
const STATE_CELLS = 2;

/** Memory of a limit that lives on as long as there is a limit with the same key: what is in it then means the same. */
export interface MemoryPart {
  readonly key: string;
  readonly cells: number;
}

/**
 * The memory of a limit. Its total stands by itself: limits of one name may differ in what their routes are counted by, and
 * still have one total.
 */
export interface MemoryParts {
  readonly buckets: MemoryPart | null;
  readonly total: MemoryPart | null;
}

/** True where a bucket of this kind is really many. */
export function isTable({ keys }: KeyedBucketSpec): boolean {
  return keys.some(({ each }) => each);
}

/** The same for equal limits, so that threads that were told the limit apart find the same buckets. */
export function partsOf({ name, buckets, total }: RateLimitSpec): MemoryParts {
  return {
    buckets: buckets.length === 0 ? null : { key: JSON.stringify([name, buckets]), cells: placesOf(buckets).cells },
    total: total === null ? null : { key: JSON.stringify([name, "total", total]), cells: STATE_CELLS },
  };
}

/** Where the buckets of the lists are in their memory, in cells of 32 bits. */
export function placesOf(buckets: RateLimitSpec["buckets"]): { readonly places: readonly (readonly number[])[]; readonly cells: number } {
  let cells = HASH_KEY_CELLS;
  const places = buckets.map((list) => list.map((spec) => {
    const place = cells;
    cells += isTable(spec) ? BucketTable.cellsFor(spec.maxBuckets) : STATE_CELLS;
    return place;
  }));
  return { places, cells };
}

/** Memory whose buckets are full. Nobody who sends requests may guess by which key they are found. */
export function allocate({ cells }: MemoryPart): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(cells * Int32Array.BYTES_PER_ELEMENT);
  // One bucket by itself is found without a key.
  if (cells > STATE_CELLS) new Uint8Array(buffer).set(randomBytes(HASH_KEY_CELLS * Int32Array.BYTES_PER_ELEMENT));
  return buffer;
}
