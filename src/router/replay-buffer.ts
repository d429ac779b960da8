/** Bytes kept so that a request can be sent again; beyond this it is sent once only (`design.md`, hot path rules). */
const MAX_REPLAY_BYTES = 65_536;
/** Bytes taken in while no upstream connection is there yet, before the downstream is paused. */
const MAX_WAITING_BYTES = 262_144;

/**
 * The request body as far as it is kept: chunks not yet sent because no connection is ready, and, while a retry is
 * still possible, chunks already sent. The buffers are those that were read; nothing is copied.
 */
export class ReplayBuffer {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #keepsSent: boolean;
  #sentChunks = 0;
  #hasDropped = false;

  /** `keepsSent`: a retry policy applies, so what was sent is kept up to the bound. */
  constructor(keepsSent: boolean) {
    this.#keepsSent = keepsSent;
  }

  /** True when the whole body so far can be sent again. */
  get canReplay(): boolean {
    return !this.#hasDropped;
  }

  /** True when the downstream should be paused until a connection is ready. */
  get isFull(): boolean {
    return this.#bytes >= MAX_WAITING_BYTES;
  }

  /** Takes a chunk; `isSent` when it goes upstream at once. */
  add(chunk: Buffer, isSent: boolean): void {
    if (isSent && !this.#keepsSent) {
      this.#hasDropped = true;
      return;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (isSent) this.#sentChunks = this.#chunks.length;
    if (this.#bytes > MAX_REPLAY_BYTES) this.#giveUpReplay();
  }

  /** Hands out, in order, what a new attempt has to send; afterwards it counts as sent. */
  sendAll(send: (chunk: Buffer) => boolean): boolean {
    let isWritable = true;
    for (const chunk of this.#chunks) isWritable = send(chunk) && isWritable;
    this.#sentChunks = this.#chunks.length;
    if (!this.#keepsSent) this.#dropSent();
    return isWritable;
  }

  /** Another attempt is due: it needs all that is kept, whatever the one before it had sent. */
  rewind(): void {
    this.#sentChunks = 0;
  }

  /** No retry will come: lets go of what was sent. */
  stopKeeping(): void {
    if (this.#keepsSent) this.#giveUpReplay();
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#sentChunks = 0;
  }

  #giveUpReplay(): void {
    this.#keepsSent = false;
    this.#dropSent();
  }

  #dropSent(): void {
    if (this.#sentChunks === 0) return;
    this.#hasDropped = true;
    this.#chunks.splice(0, this.#sentChunks);
    this.#sentChunks = 0;
    this.#bytes = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }
}
