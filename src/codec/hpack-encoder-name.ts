import { STATIC_ENTRIES, STATIC_TABLE } from "./hpack-static-table.ts";

/** Values of one name that are looked through; the static table has at most seven. */
const MAX_VALUES = 32;
/** Values whose repetition is watched for, per name. */
const WATCHED = 4;
/** Of a long value the two ends are hashed: no peer's business how long this takes. */
const HASHED_END = 32;

/** Names whose values nobody may guess by watching sizes (RFC 7541 section 7.1.3). */
const SENSITIVE: ReadonlySet<string> = new Set([
  "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-amz-security-token",
]);

/** Index of each name's first entry in the static table. */
const STATIC_NAMES: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map((field, index) => [field.name.text, index] as const).slice(1).toReversed(),
);

/** What an encoder knows of one name: where it and its values stand in the tables. */
export class EncoderName {
  readonly name: string;
  /** First entry of the static table with this name, or 0. */
  readonly staticIndex: number;
  readonly isSensitive: boolean;
  /** Values in the tables. */
  readonly values: string[] = [];
  /** Where each of `values` stands: minus its static index, or the number of its insertion into the dynamic table. */
  readonly places: number[] = [];
  /** Number of the last insertion with this name; 0 when there was none. */
  newest = 0;
  /** Hashes of values sent lately and not in the tables. */
  #watched: number[] | null = null;
  #nextWatched = 0;

  constructor(name: string) {
    this.name = name;
    this.staticIndex = STATIC_NAMES.get(name) ?? 0;
    this.isSensitive = SENSITIVE.has(name);
    if (this.staticIndex === 0 || this.isSensitive) return;
    for (let index = this.staticIndex; index <= STATIC_ENTRIES && STATIC_TABLE[index]?.name.text === name; index++) {
      const value = STATIC_TABLE[index]?.value as string;
      // An entry without a value stands for its name; an empty value is rare enough to be sent as a literal.
      if (value === "") continue;
      this.values.push(value);
      this.places.push(-index);
    }
  }

  /** Notes that `value` went into the dynamic table. */
  remember(value: string, insertion: number): void {
    // An entry forgotten early stays in the table unused until it is evicted.
    if (this.values.length === MAX_VALUES) this.forget(this.places.find((place) => place > 0) as number);
    this.values.push(value);
    this.places.push(insertion);
    this.newest = insertion;
  }

  /** Forgets the value of an insertion that was evicted. */
  forget(insertion: number): void {
    const at = this.places.indexOf(insertion);
    if (at < 0) return;
    this.values.splice(at, 1);
    this.places.splice(at, 1);
  }

  /** True when `value` was sent lately. If not, it now was. */
  isRepeated(value: string): boolean {
    const hash = hashOf(value);
    this.#watched ??= [-1, -1, -1, -1];
    const watched = this.#watched;
    for (let index = 0; index < WATCHED; index++) {
      if (watched[index] !== hash) continue;
      watched[index] = -1;
      return true;
    }
    watched[this.#nextWatched] = hash;
    this.#nextWatched = (this.#nextWatched + 1) % WATCHED;
    return false;
  }
}

/** Not negative. Two values with one hash cost no more than an early insertion. */
function hashOf(value: string): number {
  const length = value.length;
  let hash = length;
  const headEnd = Math.min(length, HASHED_END);
  for (let index = 0; index < headEnd; index++) hash = (Math.imul(hash, 31) + value.charCodeAt(index)) | 0;
  for (let index = Math.max(headEnd, length - HASHED_END); index < length; index++) hash = (Math.imul(hash, 31) + value.charCodeAt(index)) | 0;
  return hash & 0x3fffffff;
}
