import type { HalfSipHash } from "../core/half-sip-hash.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** Buckets among which a key may have its place. */
const WAYS = 8;
/** Places for each key that there may be, so that chance seldom gives a set more keys than it has places. */
const PLACES_PER_KEY = 2;
/** A bucket with its key, in cells of 32 bits: two of the key's hash, two of the bucket's state. */
const SLOT_CELLS = 4;
/** Tries for a set in which another thread is making room, a matter of nanoseconds unless that thread is not running. */
const MAX_TRIES = 100;
/** How long to wait for a thread that does not run. After that it has ended, and will not say that it is done. */
const MAX_WAIT_MS = 100;
/** Times a bucket may go while a token is taken of it. */
const MAX_MOVES = 2;

/**
 * Buckets by key, in memory that all data threads share: a hash table of fixed size. A key has its bucket in one of eight
 * places; where all are taken, the bucket that is nearest to being full makes room, which is the one least used lately, and
 * loses nothing if it is full. Finding a bucket takes no lock; making one takes that of its eight
 * places, so that no key ever has two.
 *
 * Layout, from `offset` in cells of 32 bits: a lock for each set, then the slots.
 */
export class BucketTable {
  /** Where `take` found the bucket, in 64-bit cells of the buffer. */
  state = 0;
  readonly #cells: Int32Array;
  readonly #states: BigInt64Array;
  readonly #hash: HalfSipHash;
  readonly #sets: number;
  readonly #offset: number;
  readonly #slots: number;
  /** Called when a bucket that was not full had to go. */
  readonly #evicted: () => void;

  /** `capacity`: keys at least; `offset`: where in `buffer` the table begins, in cells, even; `hash` keyed alike in all threads. */
  constructor(buffer: SharedArrayBuffer, offset: number, capacity: number, hash: HalfSipHash, evicted: () => void) {
    this.#cells = new Int32Array(buffer);
    this.#states = new BigInt64Array(buffer);
    this.#hash = hash;
    this.#sets = setsFor(capacity);
    this.#offset = offset;
    this.#slots = offset + evenCells(this.#sets);
    this.#evicted = evicted;
  }

  /** Size of a table in cells of 32 bits; even. */
  static cellsFor(capacity: number): number {
    const sets = setsFor(capacity);
    return evenCells(sets) + sets * WAYS * SLOT_CELLS;
  }

  /** Takes a token of the key's bucket, a full one if it had none; false where there is no token. */
  take(key: string, bucket: TokenBucket, nowNs: number): boolean {
    this.#hash.hash(key);
    const set = (this.#hash.high >>> 0) % this.#sets;
    // 0 marks a place without a key.
    const high = this.#hash.high | 1;
    const low = this.#hash.low;
    for (let tries = 0; ; tries++) {
      const found = this.#find(set, high, low);
      this.state = found >= 0 ? found : this.#insert(set, high, low, nowNs);
      const isTaken = bucket.take(this.#states, this.state, nowNs);
      // Made room between being found and being taken from: the token was another's.
      if (tries >= MAX_MOVES || this.#find(set, high, low) === this.state) return isTaken;
    }
  }

  #find(set: number, high: number, low: number): number {
    const first = this.#slots + set * WAYS * SLOT_CELLS;
    for (let slot = first; slot < first + WAYS * SLOT_CELLS; slot += SLOT_CELLS) {
      if (Atomics.load(this.#cells, slot) === high && Atomics.load(this.#cells, slot + 1) === low) return slot / 2 + 1;
    }
    return -1;
  }

  #insert(set: number, high: number, low: number, nowNs: number): number {
    const lock = this.#offset + set;
    this.#lock(lock);
    // Whoever had the lock before may have made the bucket.
    const found = this.#find(set, high, low);
    const state = found >= 0 ? found : this.#replace(this.#victim(set), high, low, nowNs);
    Atomics.store(this.#cells, lock, 0);
    Atomics.notify(this.#cells, lock);
    return state;
  }

  #lock(lock: number): void {
    for (let tries = 0; tries < MAX_TRIES; tries++) if (Atomics.compareExchange(this.#cells, lock, 0, 1) === 0) return;
    while (Atomics.compareExchange(this.#cells, lock, 0, 1) !== 0) {
      if (Atomics.wait(this.#cells, lock, 1, MAX_WAIT_MS) === "timed-out") return;
    }
  }

  /** The slot of the bucket that is or will be full first. */
  #victim(set: number): number {
    const first = this.#slots + set * WAYS * SLOT_CELLS;
    let victim = first;
    let earliest = Infinity;
    for (let slot = first; slot < first + WAYS * SLOT_CELLS; slot += SLOT_CELLS) {
      if (Atomics.load(this.#cells, slot) === 0) return slot;
      const fullAt = Number(Atomics.load(this.#states, slot / 2 + 1));
      if (fullAt < earliest) {
        earliest = fullAt;
        victim = slot;
      }
    }
    return victim;
  }

  /** The key goes first and comes last: nobody finds the new key with the old state. */
  #replace(slot: number, high: number, low: number, nowNs: number): number {
    const state = slot / 2 + 1;
    Atomics.store(this.#cells, slot, 0);
    const fullAt = Atomics.exchange(this.#states, state, 0n);
    if (Number(fullAt) > nowNs) this.#evicted();
    Atomics.store(this.#cells, slot + 1, low);
    Atomics.store(this.#cells, slot, high);
    return state;
  }
}

function setsFor(capacity: number): number {
  return Math.max(1, Math.ceil((capacity * PLACES_PER_KEY) / WAYS));
}

function evenCells(cells: number): number {
  return cells + (cells & 1);
}
