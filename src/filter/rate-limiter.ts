import type { KeyedBucketSpec, RateLimitSpec } from "../config/snapshot-route.ts";
import { HalfSipHash } from "../core/half-sip-hash.ts";
import { BucketTable } from "./bucket-table.ts";
import type { FilterRequest } from "./filter-chain.ts";
import { RateLimitKey } from "./rate-limit-key.ts";
import { isTable, placesOf } from "./rate-limit-memory.ts";
import { TokenBucket } from "./token-bucket.ts";

/** What a bucket had to say to one request. */
export interface BucketVerdict {
  readonly bucket: TokenBucket;
  /** False: it had no token. */
  readonly isTaken: boolean;
  readonly remaining: number;
  /** Until it is full again, and until it has a token, in seconds. */
  readonly resetS: number;
  readonly waitS: number;
}

/** Buckets of one kind: a single one, or one for each combination of values. */
class KeyedBucket {
  readonly bucket: TokenBucket;
  readonly keys: readonly RateLimitKey[];
  readonly #table: BucketTable | null;
  readonly #state: number;

  constructor(spec: KeyedBucketSpec, buffer: SharedArrayBuffer, place: number, hash: HalfSipHash, evicted: () => void) {
    this.bucket = new TokenBucket(spec.bucket);
    this.keys = spec.keys.map((key) => new RateLimitKey(key));
    this.#table = isTable(spec) ? new BucketTable(buffer, place, spec.maxBuckets, hash, evicted) : null;
    this.#state = place / 2;
  }

  /** What tells its bucket from others of this kind; null where the request is not for it. */
  keyOf(request: FilterRequest): string | null {
    let text = "";
    for (let index = 0; index < this.keys.length; index++) {
      const key = this.keys[index] as RateLimitKey;
      const value = key.valueIn(request);
      if (value === null) return null;
      // No field holds a NUL.
      if (key.spec.each) text += `${value}\0`;
    }
    return text;
  }

  /** Takes a token; gives where the bucket is, as a negative number less one where it had none. */
  take(key: string, cells: BigInt64Array, nowNs: number): number {
    const table = this.#table;
    const isTaken = table === null ? this.bucket.take(cells, this.#state, nowNs) : table.take(key, this.bucket, nowNs);
    const at = table === null ? this.#state : table.state;
    return isTaken ? at : -1 - at;
  }
}

/** The memory that a limit's `MemoryPart`s ask for; null where there is no such part. */
export interface RateLimitMemory {
  readonly buckets: SharedArrayBuffer | null;
  readonly total: SharedArrayBuffer | null;
}

const NOTHING = new BigInt64Array(0);

/** One limit over its buckets in shared memory. */
export class RateLimiter {
  readonly spec: RateLimitSpec;
  readonly #cells: BigInt64Array;
  readonly #lists: readonly (readonly KeyedBucket[])[];
  readonly #total: TokenBucket | null;
  /** The state of the total is all there is in it. */
  readonly #totalCells: BigInt64Array;
  /** Of the request being decided. */
  readonly #fitting: { bucket: KeyedBucket; key: string }[] = [];

  /** `evicted`: a bucket that was not full had to make room. */
  constructor(spec: RateLimitSpec, memory: RateLimitMemory, evicted: () => void) {
    this.spec = spec;
    this.#cells = memory.buckets === null ? NOTHING : new BigInt64Array(memory.buckets);
    this.#lists = memory.buckets === null ? [] : keyedBuckets(spec, memory.buckets, evicted);
    this.#total = spec.total === null ? null : new TokenBucket(spec.total);
    this.#totalCells = memory.total === null ? NOTHING : new BigInt64Array(memory.total);
  }

  /** Takes what the request costs. The verdict is that of the bucket that had no token, else of the slowest; null: none is meant. */
  take(request: FilterRequest, nowNs: number): BucketVerdict | null {
    const fitting = this.#fitting;
    fitting.length = 0;
    for (let index = 0; index < this.#lists.length; index++) this.#findIn(this.#lists[index] as readonly KeyedBucket[], request);
    if (fitting.length > 1) fitting.sort((a, b) => a.bucket.bucket.perSecond - b.bucket.bucket.perSecond);
    let first: BucketVerdict | null = null;
    for (const { bucket, key } of fitting) {
      const at = bucket.take(key, this.#cells, nowNs);
      if (at < 0) return verdictOf(bucket.bucket, this.#cells, -1 - at, false, nowNs);
      first ??= verdictOf(bucket.bucket, this.#cells, at, true, nowNs);
    }
    const total = this.#total;
    if (total === null || (first !== null && !this.spec.alwaysTakesTotal)) return first;
    const isTaken = total.take(this.#totalCells, 0, nowNs);
    return isTaken && first !== null ? first : verdictOf(total, this.#totalCells, 0, isTaken, nowNs);
  }

  /** The buckets that a request would take a token of; for whoever explains. */
  bucketsFor(request: FilterRequest): { readonly bucket: TokenBucket; readonly keys: readonly RateLimitKey[] }[] {
    this.#fitting.length = 0;
    for (const list of this.#lists) this.#findIn(list, request);
    const found: { bucket: TokenBucket; keys: readonly RateLimitKey[] }[] = this.#fitting.map(({ bucket }) => ({ bucket: bucket.bucket, keys: bucket.keys }));
    if (this.#total !== null && (found.length === 0 || this.spec.alwaysTakesTotal)) found.push({ bucket: this.#total, keys: [] });
    return found;
  }

  #findIn(list: readonly KeyedBucket[], request: FilterRequest): void {
    for (let index = 0; index < list.length; index++) {
      const bucket = list[index] as KeyedBucket;
      const key = bucket.keyOf(request);
      if (key === null) continue;
      this.#fitting.push({ bucket, key });
      return;
    }
  }
}

function keyedBuckets({ buckets }: RateLimitSpec, buffer: SharedArrayBuffer, evicted: () => void): KeyedBucket[][] {
  const [key0, key1] = new Int32Array(buffer, 0, 2);
  const hash = new HalfSipHash(key0 as number, key1 as number);
  const { places } = placesOf(buckets);
  return buckets.map((list, at) => list.map((bucket, index) => new KeyedBucket(bucket, buffer, (places[at] as readonly number[])[index] as number, hash, evicted)));
}

function verdictOf(bucket: TokenBucket, cells: BigInt64Array, at: number, isTaken: boolean, nowNs: number): BucketVerdict {
  const fullAtNs = Number(Atomics.load(cells, at));
  return {
    bucket, isTaken,
    remaining: isTaken ? bucket.remaining(fullAtNs, nowNs) : 0,
    resetS: Math.max(0, Math.ceil((fullAtNs - nowNs) / 1e9)),
    waitS: Math.max(1, Math.ceil(bucket.waitNs(fullAtNs, nowNs) / 1e9)),
  };
}
