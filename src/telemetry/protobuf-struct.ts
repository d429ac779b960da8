/** A field's value: text, or a nested map of them. Other kinds of `google.protobuf.Value` are left out. */
export type StructValue = string | StructMap;
export type StructMap = ReadonlyMap<string, StructValue>;

/** Deeper than peer metadata ever is. */
const MAX_DEPTH = 4;
const MAX_FIELDS = 256;

/*
 * Just enough of protobuf's wire format for `google.protobuf.Struct` with strings and nested structs:
 * Struct { map<string, Value> fields = 1 }; a map entry is { key = 1, value = 2 }; Value has string_value = 3 and
 * struct_value = 5.
 */
const TAG_1_BYTES = 0x0a;
const TAG_2_BYTES = 0x12;
const TAG_VALUE_STRING = 0x1a;
const TAG_VALUE_STRUCT = 0x2a;

/** Encodes a struct, keys in the map's order. */
export function encodeStruct(fields: StructMap): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of fields) {
    const content = typeof value === "string"
      ? delimited(TAG_VALUE_STRING, Buffer.from(value, "utf8"))
      : delimited(TAG_VALUE_STRUCT, encodeStruct(value));
    const entry = Buffer.concat([delimited(TAG_1_BYTES, Buffer.from(key, "utf8")), delimited(TAG_2_BYTES, content)]);
    parts.push(delimited(TAG_1_BYTES, entry));
  }
  return Buffer.concat(parts);
}

/** Decodes a struct; null when the bytes are not one, or are deeper or larger than metadata is. */
export function decodeStruct(bytes: Buffer): StructMap | null {
  return new StructReader(bytes).struct(0, bytes.length, 0);
}

function delimited(tag: number, content: Buffer): Buffer {
  const header = [tag];
  let length = content.length;
  while (length > 0x7f) {
    header.push((length & 0x7f) | 0x80);
    length >>>= 7;
  }
  header.push(length);
  return Buffer.concat([Buffer.from(header), content]);
}

/** Reads forward only; `#position` is -1 once the bytes made no sense. */
class StructReader {
  readonly #bytes: Buffer;
  #position = 0;
  #fields = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  struct(start: number, end: number, depth: number): Map<string, StructValue> | null {
    if (depth >= MAX_DEPTH) return null;
    const fields = new Map<string, StructValue>();
    this.#position = start;
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag !== TAG_1_BYTES) {
        if (!this.#skip(tag, end)) return null;
        continue;
      }
      const entryEnd = this.#lengthEnd(end);
      if (entryEnd < 0 || !this.#entry(entryEnd, depth, fields)) return null;
      this.#position = entryEnd;
    }
    return fields;
  }

  #entry(end: number, depth: number, into: Map<string, StructValue>): boolean {
    if (++this.#fields > MAX_FIELDS) return false;
    let key = "";
    let value: StructValue | null = null;
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag === TAG_1_BYTES) {
        const keyEnd = this.#lengthEnd(end);
        if (keyEnd < 0) return false;
        key = this.#text(keyEnd);
      } else if (tag === TAG_2_BYTES) {
        const valueEnd = this.#lengthEnd(end);
        if (valueEnd < 0) return false;
        const read = this.#value(valueEnd, depth);
        if (read === undefined) return false;
        value = read;
        this.#position = valueEnd;
      } else if (!this.#skip(tag, end)) return false;
    }
    if (value !== null) into.set(key, value);
    return true;
  }

  /** Null for a kind of value we do not read, undefined for bytes that make no sense. */
  #value(end: number, depth: number): StructValue | null | undefined {
    let value: StructValue | null = null;
    while (this.#position < end) {
      const tag = this.#varint(end);
      if (tag === TAG_VALUE_STRING) {
        const textEnd = this.#lengthEnd(end);
        if (textEnd < 0) return undefined;
        value = this.#text(textEnd);
      } else if (tag === TAG_VALUE_STRUCT) {
        const structEnd = this.#lengthEnd(end);
        const nested = structEnd < 0 ? null : this.struct(this.#position, structEnd, depth + 1);
        if (nested === null) return undefined;
        value = nested;
        this.#position = structEnd;
      } else if (!this.#skip(tag, end)) return undefined;
    }
    return value;
  }

  #text(end: number): string {
    const text = this.#bytes.toString("utf8", this.#position, end);
    this.#position = end;
    return text;
  }

  /** Where a length-delimited field that begins here ends, or -1. */
  #lengthEnd(end: number): number {
    const length = this.#varint(end);
    return length < 0 || length > end - this.#position ? -1 : this.#position + length;
  }

  /** A varint of at most 28 bits (every length and tag we can meet), or -1. */
  #varint(end: number): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (this.#position >= end) return -1;
      const byte = this.#bytes[this.#position++] as number;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return -1;
  }

  /** Passes over a field of another number or type. */
  #skip(tag: number, end: number): boolean {
    if (tag < 0) return false;
    const type = tag & 7;
    if (type === 0) return this.#skipVarint(end);
    if (type === 2) {
      const fieldEnd = this.#lengthEnd(end);
      if (fieldEnd < 0) return false;
      this.#position = fieldEnd;
      return true;
    }
    if (type !== 1 && type !== 5) return false;
    this.#position += type === 1 ? 8 : 4;
    return this.#position <= end;
  }

  #skipVarint(end: number): boolean {
    for (let length = 0; length < 10 && this.#position < end; length++) {
      if ((this.#bytes[this.#position++] as number) < 0x80) return true;
    }
    return false;
  }
}
