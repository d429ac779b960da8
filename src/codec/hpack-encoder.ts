import { EncoderName } from "./hpack-encoder-name.ts";
import { EncoderTable } from "./hpack-encoder-table.ts";
import { ENTRY_OVERHEAD } from "./hpack-field.ts";
import { huffmanEncode, huffmanLength } from "./hpack-huffman-encoder.ts";
import { STATIC_ENTRIES } from "./hpack-static-table.ts";

/** Names one encoder keeps; a table of 4 KiB has at most 128 entries. */
const MAX_NAMES = 256;
/** Longer names are sent as literals every time. */
const MAX_NAME_LENGTH = 128;
/** Number of insertions after which the table begins anew, so that numbers stay small integers. */
const MAX_INSERTIONS = 0x3fff0000;

/** Most octets a field takes beyond its name and value: two lengths and an index, and table size updates. */
export const FIELD_OVERHEAD = 24;

export interface HpackEncoderOptions {
  /** Size of the dynamic table we want, whatever more the peer allows. */
  readonly maxTableBytes?: number;
  /** Code strings with Huffman where that is shorter. It costs both ends more time than it spares on a local network. */
  readonly usesHuffman?: boolean;
  /**
   * 2: a value goes into the table when it is met the second time, so that values which never repeat (ids of requests
   * and spans) do not drive out those which do. 1: at once.
   */
  readonly sightings?: 1 | 2;
}

/**
 * The encoder of one connection (RFC 7541). A field met before costs a map lookup, a comparison and one or two octets.
 * What it keeps is bounded by the table and MAX_NAMES, and holds on to none of the strings it was given.
 */
export class HpackEncoder {
  readonly #names = new Map<string, EncoderName>();
  readonly #table: EncoderTable;
  readonly #wantedSize: number;
  readonly #usesHuffman: boolean;
  readonly #sightings: number;
  /** Least and last size the peer was not told yet; -1 when there is none. */
  #leastSize = -1;
  #nextSize = -1;

  constructor(options: HpackEncoderOptions = {}) {
    this.#wantedSize = options.maxTableBytes ?? 4096;
    // Until the peer says otherwise its table has 4096 octets (RFC 9113 section 6.5.2).
    this.#table = new EncoderTable(4096);
    this.#usesHuffman = options.usesHuffman ?? false;
    this.#sightings = options.sightings ?? 2;
    if (this.#wantedSize < 4096) this.#resize(this.#wantedSize);
  }

  /** Size of the table now, for tests and gauges. */
  get tableBytes(): number {
    return this.#table.size;
  }

  /** Names kept now. */
  get nameCount(): number {
    return this.#names.size;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE; the next block takes note of it. */
  limitTable(peerMaxTableBytes: number): void {
    const size = Math.min(peerMaxTableBytes, this.#wantedSize);
    if (size !== this.#table.maxSize) this.#resize(size);
  }

  /** Begins a block at `at`, which must be sent whole; returns the offset after what it wrote. */
  start(into: Uint8Array, at: number): number {
    if (this.#table.newest > MAX_INSERTIONS) this.#restart();
    if (this.#nextSize < 0) return at;
    let offset = at;
    if (this.#leastSize < this.#nextSize) offset = writeInteger(into, offset, 0x20, 0x1f, this.#leastSize);
    offset = writeInteger(into, offset, 0x20, 0x1f, this.#nextSize);
    this.#leastSize = this.#nextSize = -1;
    return offset;
  }

  /**
   * Writes one field at `at` and returns the offset after it. There must be room for both strings and FIELD_OVERHEAD.
   * `name` is lower case; both are latin1 and fit to be written, which nobody checks here. `isSensitive`: the field was
   * received as never-indexed and is sent on as such.
   */
  field(into: Buffer, at: number, name: string, value: string, isSensitive: boolean): number {
    const known = this.#names.get(name) ?? this.#meet(name);
    if (known === null) return this.#literal(into, at, isSensitive ? 0x10 : 0, 0x0f, 0, name, value);
    if (isSensitive || known.isSensitive) return this.#literal(into, at, 0x10, 0x0f, this.#nameIndex(known), name, value);
    const { values } = known;
    for (let index = 0; index < values.length; index++) {
      if (values[index] !== value) continue;
      const place = known.places[index] as number;
      const entry = place < 0 ? -place : this.#index(place);
      if (entry >= 0x7f) return writeInteger(into, at, 0x80, 0x7f, entry);
      into[at] = 0x80 | entry;
      return at + 1;
    }
    const nameIndex = this.#nameIndex(known);
    if (!this.#isWorthInserting(known, nameIndex, value)) return this.#literal(into, at, 0, 0x0f, nameIndex, name, value);
    return this.#insert(into, at, known, nameIndex, value);
  }

  /** A name without an index is inserted with its first value: the index of the name is worth it. */
  #isWorthInserting(known: EncoderName, nameIndex: number, value: string): boolean {
    if (known.name.length + value.length + ENTRY_OVERHEAD > this.#table.maxSize >>> 1) return false;
    return this.#sightings === 1 || nameIndex === 0 || known.isRepeated(value);
  }

  #insert(into: Buffer, at: number, known: EncoderName, nameIndex: number, value: string): number {
    const end = this.#literal(into, at, 0x40, 0x3f, nameIndex, known.name, value);
    // A copy: the string given may be a slice that keeps a whole head alive.
    const copy = Buffer.from(value, "latin1").toString("latin1");
    known.remember(copy, this.#table.insert(known, known.name.length + value.length + ENTRY_OVERHEAD));
    return end;
  }

  #literal(into: Buffer, at: number, pattern: number, mask: number, nameIndex: number, name: string, value: string): number {
    if (nameIndex !== 0) return this.#string(into, writeInteger(into, at, pattern, mask, nameIndex), value);
    into[at] = pattern;
    return this.#string(into, this.#string(into, at + 1, name), value);
  }

  #string(into: Buffer, at: number, text: string): number {
    const length = text.length;
    if (this.#usesHuffman) {
      const coded = huffmanLength(text);
      if (coded < length) return huffmanEncode(text, into, writeInteger(into, at, 0x80, 0x7f, coded));
    }
    const offset = writeInteger(into, at, 0, 0x7f, length);
    if (length > 24) return offset + into.write(text, offset, "latin1");
    for (let index = 0; index < length; index++) into[offset + index] = text.charCodeAt(index);
    return offset + length;
  }

  /** Index of an entry with this name, or 0. */
  #nameIndex(known: EncoderName): number {
    if (known.staticIndex !== 0) return known.staticIndex;
    return known.newest >= this.#table.oldest ? this.#index(known.newest) : 0;
  }

  #index(insertion: number): number {
    return STATIC_ENTRIES + 1 + this.#table.newest - insertion;
  }

  /** Takes note of a name; null when it is too long or there are too many. */
  #meet(name: string): EncoderName | null {
    if (name.length > MAX_NAME_LENGTH) return null;
    if (this.#names.size >= MAX_NAMES) this.#forgetNames();
    if (this.#names.size >= MAX_NAMES) return null;
    const known = new EncoderName(name);
    this.#names.set(name, known);
    return known;
  }

  /** Forgets the names that have no entry in the dynamic table. */
  #forgetNames(): void {
    for (const [name, known] of this.#names) {
      if (known.newest < this.#table.oldest) this.#names.delete(name);
    }
  }

  #resize(size: number): void {
    this.#table.resize(size);
    if (this.#nextSize < 0 || size < this.#leastSize) this.#leastSize = size;
    this.#nextSize = size;
  }

  /** Empties the table on both ends. */
  #restart(): void {
    const size = this.#table.maxSize;
    this.#resize(0);
    this.#resize(size);
    this.#names.clear();
    this.#table.newest = 0;
    this.#table.oldest = 1;
  }
}

/** RFC 7541 section 5.1; returns the offset after it. */
function writeInteger(into: Uint8Array, at: number, pattern: number, mask: number, value: number): number {
  if (value < mask) {
    into[at] = pattern | value;
    return at + 1;
  }
  into[at] = pattern | mask;
  let offset = at + 1;
  let rest = value - mask;
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) into[offset++] = (rest & 0x7f) | 0x80;
  into[offset++] = rest;
  return offset;
}
