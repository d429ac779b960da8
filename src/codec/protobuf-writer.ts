import { WIRE_DELIMITED, WIRE_VARINT } from "./protobuf-wire-type.ts";

const FIRST_BYTES = 512;
/** Ten bytes of varint after five of tag. */
const MAX_SCALAR_BYTES = 15;
const SHORT_TEXT = 48;
const TWO_TO_28 = 0x1000_0000;

/**
 * Writes one protobuf message, field by field in the order of the calls. As proto3 has it, a scalar that is zero or empty
 * is not written; elements of lists and maps, and messages, are. Reusable after `finish`.
 */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;
  /** Where the content of each message begins that is still open. */
  readonly #open: number[] = [];

  /** What was written; the writer is empty again, and the bytes are the caller's. */
  finish(): Buffer {
    if (this.#open.length > 0) throw new Error("a message was opened and not closed");
    const written = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return written;
  }

  /** A string in UTF-8; lone surrogates become the replacement character. */
  string(field: number, text: string): void {
    if (text !== "") this.element(field, text);
  }

  /** An element of `repeated string`, which may be empty. */
  element(field: number, text: string): void {
    if (text.length <= SHORT_TEXT && this.#short(field, text)) return;
    const length = Buffer.byteLength(text, "utf8");
    this.#header(field, length);
    this.#length += this.#bytes.write(text, this.#length, length, "utf8");
  }

  bytes(field: number, content: Buffer): void {
    if (content.length === 0) return;
    this.#header(field, content.length);
    content.copy(this.#bytes, this.#length);
    this.#length += content.length;
  }

  bool(field: number, value: boolean): void {
    if (value) this.integer(field, 1);
  }

  /** A field of type int32, int64, uint32, uint64 or of an enumeration; `value` is a whole number within 2^53. */
  integer(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(MAX_SCALAR_BYTES);
    this.#varint(field * 8 + WIRE_VARINT);
    if (value > 0) this.#varint(value);
    else this.#negative(value);
  }

  /** An entry of `map<string, string>`. */
  textEntry(field: number, key: string, value: string): void {
    this.open(field);
    this.string(1, key);
    this.string(2, value);
    this.close();
  }

  /** Begins a message within; everything up to the matching `close` belongs to it. */
  open(field: number): void {
    this.#reserve(MAX_SCALAR_BYTES);
    this.#varint(field * 8 + WIRE_DELIMITED);
    this.#open.push(this.#length);
  }

  close(): void {
    const from = this.#open.pop();
    if (from === undefined) throw new Error("no message is open");
    const length = this.#length - from;
    const lengthBytes = varintBytes(length);
    this.#reserve(lengthBytes);
    // How many bytes the length takes is known only now: the content moves up behind it.
    this.#bytes.copyWithin(from + lengthBytes, from, this.#length);
    this.#length = from;
    this.#varint(length);
    this.#length += length;
  }

  /** Text of a few ASCII letters, as most are, is written faster here than by a call into Node. False: it is none. */
  #short(field: number, text: string): boolean {
    this.#reserve(MAX_SCALAR_BYTES + SHORT_TEXT);
    const from = this.#length;
    this.#varint(field * 8 + WIRE_DELIMITED);
    this.#varint(text.length);
    const bytes = this.#bytes;
    let at = this.#length;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.#length = from;
        return false;
      }
      bytes[at++] = code;
    }
    this.#length = at;
    return true;
  }

  #header(field: number, length: number): void {
    this.#reserve(MAX_SCALAR_BYTES + length);
    this.#varint(field * 8 + WIRE_DELIMITED);
    this.#varint(length);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      // Bit operations only see 32 bits.
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = rest < TWO_TO_28 ? rest >>> 7 : Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** Sign-extended to 64 bits: always ten bytes. */
  #negative(value: number): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) count++;
  return count;
}
