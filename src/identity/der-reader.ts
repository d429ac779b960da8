/** Thrown by `DerReader` inside `identity/`; never leaves `readCertificate`. */
export class MalformedDer extends Error {}

export const DER = {
  boolean: 0x01, integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, utf8String: 0x0c,
  utcTime: 0x17, generalizedTime: 0x18, bmpString: 0x1e, sequence: 0x30, set: 0x31,
} as const;

/**
 * Reads DER (ITU-T X.690) front to back, and only DER: definite lengths in their shortest form, one-byte tags,
 * nothing beyond the enclosing element. Strings are given with their length and never end at a NUL, which is how
 * one certificate can mean two things to two readers (CVE-2009-2408, CVE-2025-66220).
 */
export class DerReader {
  readonly #bytes: Buffer;
  #position: number;
  readonly #end: number;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#end;
  }

  /** Tag of the next element, or -1 at the end. */
  get tag(): number {
    return this.isAtEnd ? -1 : (this.#bytes[this.#position] as number);
  }

  /** Enters an element of the given tag and steps over it. */
  read(tag: number): DerReader {
    const start = this.#enter(tag);
    return new DerReader(this.#bytes, start, this.#position);
  }

  /** Like `read`, or null when the next element is another. */
  readOptional(tag: number): DerReader | null {
    return this.tag === tag ? this.read(tag) : null;
  }

  /** The content of an element of the given tag, not copied. */
  bytes(tag: number): Buffer {
    const start = this.#enter(tag);
    return this.#bytes.subarray(start, this.#position);
  }

  /** The next element of whatever tag as it stands, its tag and length too, not copied. */
  element(): Buffer {
    const start = this.#position;
    this.skip();
    return this.#bytes.subarray(start, this.#position);
  }

  /** Steps over one element of whatever tag. */
  skip(): void {
    this.#enter(this.tag);
  }

  boolean(): boolean {
    const content = this.bytes(DER.boolean);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) throw new MalformedDer("boolean is not DER");
    return content[0] === 0xff;
  }

  /** A non-negative integer below 2^31. */
  smallInteger(): number {
    const content = this.bytes(DER.integer);
    if (content.length === 0 || content.length > 4 || (content[0] as number) >= 0x80) throw new MalformedDer("integer out of range");
    if (content.length > 1 && content[0] === 0 && (content[1] as number) < 0x80) throw new MalformedDer("integer is not minimal");
    return content.readUIntBE(0, content.length);
  }

  /** An object identifier in dotted form. */
  oid(): string {
    const content = this.bytes(DER.oid);
    const last = content[content.length - 1];
    if (last === undefined || last >= 0x80 || content.length > 64) throw new MalformedDer("bad object identifier");
    const arcs: number[] = [];
    let arc = 0;
    for (const byte of content) {
      arc = arc * 128 + (byte & 0x7f);
      if (arc > Number.MAX_SAFE_INTEGER / 256) throw new MalformedDer("object identifier arc too large");
      if (byte >= 0x80) continue;
      arcs.push(arc);
      arc = 0;
    }
    const first = arcs[0] as number;
    const root = Math.min(2, Math.floor(first / 40));
    return [root, first - root * 40, ...arcs.slice(1)].join(".");
  }

  /** Throws unless everything was read. */
  expectEnd(): void {
    if (!this.isAtEnd) throw new MalformedDer("trailing bytes inside an element");
  }

  /** Checks the header of the next element, moves behind the element, and returns where its content starts. */
  #enter(tag: number): number {
    if (this.tag !== tag || tag < 0) throw new MalformedDer(`expected tag ${tag}, found ${this.tag}`);
    if ((tag & 0x1f) === 0x1f) throw new MalformedDer("tag of several bytes");
    let position = this.#position + 1;
    if (position >= this.#end) throw new MalformedDer("element without length");
    let length = this.#bytes[position++] as number;
    if (length >= 0x80) {
      const count = length & 0x7f;
      if (count === 0 || count > 3 || position + count > this.#end) throw new MalformedDer("bad length");
      length = this.#bytes.readUIntBE(position, count);
      position += count;
      if (length < 0x80 || (count > 1 && length < 2 ** (8 * (count - 1)))) throw new MalformedDer("length is not minimal");
    }
    if (length > this.#end - position) throw new MalformedDer("element longer than what holds it");
    this.#position = position + length;
    return position;
  }
}
