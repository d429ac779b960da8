import { isUtf8 } from "node:buffer";
import { ProtobufError } from "./protobuf-error.ts";
import { WIRE_DELIMITED, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./protobuf-wire-type.ts";

export interface ProtobufLimits {
  /** Messages within messages, the outermost being 1. */
  readonly maxDepth: number;
  /** Fields altogether, those within messages too. */
  readonly maxFields: number;
}

/** What messages of the protocols we speak never come near. */
const DEFAULT_LIMITS: ProtobufLimits = { maxDepth: 16, maxFields: 65_536 };
/** How many more fields may be read; shared by all readers of one message. */
interface Budget {
  fields: number;
}

/**
 * Reads one protobuf message, field after field: `while (reader.next()) { if (reader.field === 1) ... }`. A field that is
 * not asked for is passed over. Every method throws `ProtobufError` for bytes that are no message, for a field of another
 * type than the one asked for, for text that is not UTF-8 and beyond the limits.
 */
export class ProtobufReader {
  /** Number of the field that `next` found. */
  field = 0;
  readonly #bytes: Buffer;
  readonly #depthLeft: number;
  readonly #budget: Budget;
  #position = 0;
  #wireType = -1;
  /** The value of the field found was not read yet. */
  #isPending = false;
  /** The number last read, as two halves of 32 bits: those of one half are nearly all there are. */
  #low = 0;
  #high = 0;

  /** The bytes are not copied: they stay as they are while they are read. How long they may be is the caller's affair. */
  constructor(bytes: Buffer, limits: ProtobufLimits = DEFAULT_LIMITS, budget: Budget = { fields: limits.maxFields }) {
    if (limits.maxDepth <= 0) throw new ProtobufError("messages are nested too deeply");
    this.#bytes = bytes;
    this.#depthLeft = limits.maxDepth - 1;
    this.#budget = budget;
  }

  /** Goes on to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#isPending) this.#skip();
    if (this.#position === this.#bytes.length) return false;
    if (--this.#budget.fields < 0) throw new ProtobufError("too many fields");
    const tag = this.#tag();
    this.field = tag >>> 3;
    this.#wireType = tag & 7;
    if (this.field === 0) throw new ProtobufError("a field with number 0");
    this.#isPending = true;
    return true;
  }

  /** A string. */
  string(): string {
    const content = this.bytes();
    if (!isUtf8(content)) throw new ProtobufError("text that is not UTF-8");
    return content.toString("utf8");
  }

  /** Bytes, as a view of the message. */
  bytes(): Buffer {
    this.#take(WIRE_DELIMITED);
    return this.#delimited();
  }

  /** A message within, to be read by a reader of its own. */
  message(): ProtobufReader {
    return new ProtobufReader(this.bytes(), { maxDepth: this.#depthLeft, maxFields: 0 }, this.#budget);
  }

  bool(): boolean {
    this.#take(WIRE_VARINT);
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** An int32 or a value of an enumeration. What is longer loses its upper bits, as protobuf says. */
  int32(): number {
    this.#take(WIRE_VARINT);
    this.#varint();
    return this.#low | 0;
  }

  uint32(): number {
    this.#take(WIRE_VARINT);
    this.#varint();
    return this.#low;
  }

  int64(): bigint {
    this.#take(WIRE_VARINT);
    this.#varint();
    return BigInt.asIntN(64, (BigInt(this.#high) << 32n) | BigInt(this.#low));
  }

  /** Reads an entry of `map<string, string>`; an absent key or value is empty. */
  textEntry(): [key: string, value: string] {
    const entry = this.message();
    let key = "";
    let value = "";
    while (entry.next()) {
      if (entry.field === 1) key = entry.string();
      else if (entry.field === 2) value = entry.string();
    }
    return [key, value];
  }

  #take(wireType: number): void {
    if (!this.#isPending || this.#wireType !== wireType) throw new ProtobufError(`field ${this.field} is of another type`);
    this.#isPending = false;
  }

  #skip(): void {
    this.#isPending = false;
    if (this.#wireType === WIRE_VARINT) this.#varint();
    else if (this.#wireType === WIRE_DELIMITED) this.#delimited();
    else if (this.#wireType === WIRE_FIXED64) this.#advance(8);
    else if (this.#wireType === WIRE_FIXED32) this.#advance(4);
    else throw new ProtobufError(`field ${this.field} is of unknown type ${this.#wireType}`);
  }

  #delimited(): Buffer {
    this.#varint();
    const from = this.#position;
    const length = this.#low;
    if (this.#high !== 0 || length > this.#bytes.length - from) throw new ProtobufError("a field ends beyond its message");
    this.#position = from + length;
    return this.#bytes.subarray(from, this.#position);
  }

  #advance(count: number): void {
    if (count > this.#bytes.length - this.#position) throw new ProtobufError("a field ends beyond its message");
    this.#position += count;
  }

  /** A tag has 32 bits: field numbers go up to 2^29 - 1. */
  #tag(): number {
    this.#varint();
    if (this.#high !== 0) throw new ProtobufError("a field number that is too large");
    return this.#low;
  }

  /** Reads up to 64 bits into `#low` and `#high`. */
  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      const bits = byte & 0x7f;
      if (shift < 32) low |= bits << shift;
      // The fifth group has bits of both halves.
      if (shift >= 28) high |= shift < 32 ? bits >>> (32 - shift) : bits << (shift - 32);
      if (byte >= 0x80) continue;
      if (shift === 63 && bits > 1) break;
      this.#low = low >>> 0;
      this.#high = high >>> 0;
      return;
    }
    throw new ProtobufError("a number of more than 64 bits");
  }

  #byte(): number {
    if (this.#position >= this.#bytes.length) throw new ProtobufError("the message is cut short");
    return this.#bytes[this.#position++] as number;
  }
}
