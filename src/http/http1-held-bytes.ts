import { ByteQueue } from "../core/byte-queue.ts";

/** What was read from a connection and is not parsed yet: bytes of requests whose turn has not come. */
export class Http1HeldBytes {
  /** What a request has left of the chunk that it came in; null: nothing. Before all others. */
  #first: Buffer | null = null;
  readonly #others = new ByteQueue();

  /** How many bytes are held. */
  get bytes(): number {
    return (this.#first?.length ?? 0) + this.#others.bytes;
  }

  get isEmpty(): boolean {
    return this.#first === null && this.#others.bytes === 0;
  }

  /** Adds a chunk, which is not empty, behind the others, or before them when its bytes came first. */
  put(chunk: Buffer, isFirst: boolean): void {
    if (!isFirst) this.#others.push(chunk);
    else this.#first = this.#first === null ? chunk : Buffer.concat([chunk, this.#first]);
  }

  /** Takes the oldest bytes out; undefined when there are none. */
  take(): Buffer | undefined {
    const first = this.#first;
    if (first === null) return this.#others.bytes === 0 ? undefined : this.#others.take(Infinity);
    this.#first = null;
    return first;
  }

  clear(): void {
    this.#first = null;
    this.#others.clear();
  }
}
