/**
 * Holds the DATA of a stream against its Content-Length: more or less of it is a malformed message (RFC 9113 section
 * 8.1.1; C10), which must not reach an HTTP/1 connection, where it would be framed by that length.
 */
export class Http2BodyLength {
  /** Octets still to come; -1 when nothing was announced. */
  #left: number;

  /** `announced`: -1 for nothing, and 0 for a message that has no body. */
  constructor(announced: number) {
    this.#left = announced;
  }

  /** Counts `bytes` of data. False: more than was announced. */
  take(bytes: number): boolean {
    if (this.#left < 0) return true;
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Octets still to come; never negative. */
  get left(): number {
    return Math.max(0, this.#left);
  }

  /** Whether the stream may end here. */
  get isComplete(): boolean {
    return this.#left <= 0;
  }
}
