import { HpackDynamicTable } from "./hpack-dynamic-table.ts";
import { HpackError } from "./hpack-error.ts";
import { ENTRY_OVERHEAD, HpackField, HpackName } from "./hpack-field.ts";
import { huffmanDecode } from "./hpack-huffman-decoder.ts";
import { hpackName } from "./hpack-name-cache.ts";
import { STATIC_ENTRIES, STATIC_TABLE } from "./hpack-static-table.ts";

/** Told the fields of a block in order. */
export interface HpackSink {
  /**
   * One field. It belongs to the decoder: what it holds may be kept, the object may not, but for its `note`.
   * `isNeverIndexed`: whoever sends it on must use a never-indexed literal as well (RFC 7541 section 6.2.3).
   */
  field(field: HpackField, isNeverIndexed: boolean): void;
}

/** Continuation octets an integer may have: values to 2^28, far beyond any block or table allowed. */
const MAX_INTEGER_OCTETS = 4;
/** A block may lower the bound of the table and raise it again, and no more (RFC 7541 section 4.2). */
const MAX_SIZE_UPDATES = 2;
const FIRST_SCRATCH_BYTES = 4096;

/** Huffman strings are decoded here, one at a time; as large as the longest one met, which the size of blocks bounds. */
let scratch = Buffer.allocUnsafeSlow(FIRST_SCRATCH_BYTES);

/**
 * The decoder of one connection (RFC 7541). It holds at most its dynamic table; the fields of a block go to the sink
 * as they are read, and the sink keeps the account of how much it takes (CVE-2026-47774): a block has to be decoded to
 * its end in any case, since the blocks after it refer to what it puts into the table.
 */
export class HpackDecoder {
  readonly #table: HpackDynamicTable;
  /** What a literal outside the table is shown in. */
  readonly #literal = new HpackField(new HpackName(""), "");
  /** Bound of the table by our SETTINGS. */
  #limit: number;
  /** The peer must begin its next block by taking note of a lower limit. */
  #mustShrink = false;
  #bytes: Buffer = scratch;
  #offset = 0;
  #end = 0;
  /** Where the string last begun ends. */
  #stringEnd = 0;

  /** `maxTableBytes`: our SETTINGS_HEADER_TABLE_SIZE, 4096 when it is not sent. */
  constructor(maxTableBytes = 4096) {
    this.#table = new HpackDynamicTable(maxTableBytes);
    this.#limit = maxTableBytes;
  }

  /** Size of the table now, for tests and gauges. */
  get tableBytes(): number {
    return this.#table.size;
  }

  /** Entries of the table now. */
  get tableCount(): number {
    return this.#table.count;
  }

  /** The peer has acknowledged another SETTINGS_HEADER_TABLE_SIZE. */
  limitTable(maxTableBytes: number): void {
    this.#limit = maxTableBytes;
    this.#mustShrink = this.#table.maxSize > maxTableBytes;
  }

  /**
   * Decodes the block `bytes[start, end)`, which is whole.
   *
   * @throws HpackError when it is no valid block; the decoder is not to be used again.
   */
  decode(bytes: Buffer, start: number, end: number, sink: HpackSink): void {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
    this.#readSizeUpdates();
    while (this.#offset < end) {
      const byte = bytes[this.#offset++] as number;
      if (byte >= 0x80) {
        sink.field(this.#entry(byte === 0xff ? this.#integer(0x7f) : byte & 0x7f), false);
      } else if (byte >= 0x40) {
        const name = this.#name(byte & 0x3f, 0x3f);
        const field = new HpackField(name, this.#string());
        this.#table.insert(field);
        sink.field(field, false);
      } else if (byte < 0x20) {
        const literal = this.#literal;
        literal.name = this.#name(byte & 0x0f, 0x0f);
        literal.value = this.#string();
        literal.size = literal.name.text.length + literal.value.length + ENTRY_OVERHEAD;
        literal.note = 0;
        sink.field(literal, byte >= 0x10);
      } else {
        throw new HpackError("table size update within a block");
      }
    }
  }

  #readSizeUpdates(): void {
    for (let updates = 0; this.#offset < this.#end; updates++) {
      const byte = this.#bytes[this.#offset] as number;
      if ((byte & 0xe0) !== 0x20) break;
      if (updates === MAX_SIZE_UPDATES) throw new HpackError("too many table size updates");
      this.#offset++;
      const size = (byte & 0x1f) === 0x1f ? this.#integer(0x1f) : byte & 0x1f;
      if (size > this.#limit) throw new HpackError("table size update beyond the limit");
      this.#table.resize(size);
      this.#mustShrink = false;
    }
    if (this.#mustShrink) throw new HpackError("table size update missing");
  }

  #entry(index: number): HpackField {
    const entry = index <= STATIC_ENTRIES ? STATIC_TABLE[index] : this.#table.at(index - STATIC_ENTRIES - 1);
    if (entry === undefined || index === 0) throw new HpackError("index of no entry");
    return entry;
  }

  /** The name of a literal: of the entry `prefix` refers to, or spelled out. */
  #name(prefix: number, mask: number): HpackName {
    if (prefix !== 0) return this.#entry(prefix === mask ? this.#integer(mask) : prefix).name;
    const isHuffman = this.#stringStart();
    const from = this.#offset;
    const to = this.#stringEnd;
    this.#offset = to;
    if (!isHuffman) return hpackName(this.#bytes, from, to);
    // `scratch` may be another one after unpacking.
    const length = this.#unpack(from, to);
    return hpackName(scratch, 0, length);
  }

  /** The value of a literal. */
  #string(): string {
    const isHuffman = this.#stringStart();
    const from = this.#offset;
    const to = this.#stringEnd;
    this.#offset = to;
    if (from === to) return "";
    if (!isHuffman) return this.#bytes.toString("latin1", from, to);
    const length = this.#unpack(from, to);
    return scratch.toString("latin1", 0, length);
  }

  /** Reads the length of a string into `#stringEnd`; true when the string is Huffman-coded. */
  #stringStart(): boolean {
    if (this.#offset >= this.#end) throw new HpackError("block ends within a field");
    const byte = this.#bytes[this.#offset++] as number;
    const length = (byte & 0x7f) === 0x7f ? this.#integer(0x7f) : byte & 0x7f;
    this.#stringEnd = this.#offset + length;
    if (this.#stringEnd > this.#end) throw new HpackError("block ends within a string");
    return byte >= 0x80;
  }

  /** Decodes a Huffman string into `scratch` and returns its length. */
  #unpack(from: number, to: number): number {
    const bound = (((to - from) * 8) / 5 + 1) | 0;
    if (scratch.length < bound) scratch = Buffer.allocUnsafeSlow(bound * 2);
    const length = huffmanDecode(this.#bytes, from, to, scratch);
    if (length < 0) throw new HpackError("invalid Huffman code");
    return length;
  }

  /** The rest of an integer whose prefix was all ones (RFC 7541 section 5.1). */
  #integer(prefix: number): number {
    let value = prefix;
    let factor = 1;
    for (let octets = 0; octets < MAX_INTEGER_OCTETS; octets++) {
      if (this.#offset >= this.#end) throw new HpackError("block ends within an integer");
      const byte = this.#bytes[this.#offset++] as number;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new HpackError("integer too long");
  }
}
