/** A DNS message for a TCP connection: two bytes of length in front (RFC 1035 4.2.2). */
export function frame(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(message.length + 2);
  bytes.writeUInt16BE(message.length, 0);
  message.copy(bytes, 2);
  return bytes;
}

/** Cuts the bytes of a TCP connection into DNS messages. Holds at most one message and what came with its end. */
export class MessageFrames {
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);

  /** `maxBytes`: longest message taken. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(chunk: Buffer): void {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
  }

  /** The next whole message, as a copy of its own; null until there is one, undefined when it would be too long. */
  next(): Buffer | null | undefined {
    if (this.#held.length < 2) return null;
    const length = this.#held.readUInt16BE(0);
    if (length > this.#maxBytes) return undefined;
    if (this.#held.length < length + 2) return null;
    const message = Buffer.from(this.#held.subarray(2, length + 2));
    this.#held = this.#held.subarray(length + 2);
    return message;
  }
}
