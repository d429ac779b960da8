/** What was read from a connection and is not parsed yet: bytes of requests whose turn has not come. */
export class Http1HeldBytes {
  /** How many bytes are held. */
  bytes = 0;
  #chunks: Buffer[] = [];

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Adds a chunk behind the others, or before them when its bytes came first. */
  put(chunk: Buffer, isFirst: boolean): void {
    if (isFirst) this.#chunks.unshift(chunk);
    else this.#chunks.push(chunk);
    this.bytes += chunk.length;
  }

  /** Takes the oldest chunk out; undefined when there is none. */
  take(): Buffer | undefined {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) this.bytes -= chunk.length;
    return chunk;
  }

  clear(): void {
    this.#chunks = [];
    this.bytes = 0;
  }
}
