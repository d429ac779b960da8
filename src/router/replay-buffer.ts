import { ByteQueue } from "../core/byte-queue.ts";

/** Bytes kept so that a request can be sent again; beyond this it is sent once only (`design.md`, hot path rules). */
const MAX_REPLAY_BYTES = 65_536;
/** Bytes taken in while no upstream connection is there yet, before the downstream is paused. */
const MAX_WAITING_BYTES = 262_144;

const NOTHING: readonly Buffer[] = [];

/**
 * The request body as far as it is kept: what was not yet sent because no connection is ready, and, while a retry is
 * still possible, what was already sent. The first piece is kept as it was read, and with most requests it is all there
 * is. Behind it small pieces are put together, so that a body that comes octet by octet does not cost a buffer for each
 * (CVE-2020-8659; A22).
 */
export class ReplayBuffer {
  #first: Buffer | null = null;
  #others: ByteQueue | null = null;
  #bytes = 0;
  #keepsSent: boolean;
  /** How much of it was sent: whole pieces as they came, from the first one on. */
  #sentBytes = 0;
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
    if (chunk.length === 0) return;
    if (isSent && !this.#keepsSent) {
      this.#hasDropped = true;
      return;
    }
    if (this.#bytes === 0) this.#first = chunk;
    else (this.#others ??= new ByteQueue()).push(chunk);
    this.#bytes += chunk.length;
    if (isSent) this.#sentBytes = this.#bytes;
    if (this.#bytes > MAX_REPLAY_BYTES) this.#giveUpReplay();
  }

  /** Hands out, in order, what a new attempt has to send; afterwards it counts as sent. */
  sendAll(send: (chunk: Buffer) => boolean): boolean {
    let isWritable = true;
    // Of before anything is sent: that may end the request.
    const others = this.#others === null ? NOTHING : this.#others.pieces();
    if (this.#first !== null) isWritable = send(this.#first);
    for (const chunk of others) isWritable = send(chunk) && isWritable;
    this.#sentBytes = this.#bytes;
    if (!this.#keepsSent) this.#dropSent();
    return isWritable;
  }

  /** Another attempt is due: it needs all that is kept, whatever the one before it had sent. */
  rewind(): void {
    this.#sentBytes = 0;
  }

  /** No retry will come: lets go of what was sent. */
  stopKeeping(): void {
    if (this.#keepsSent) this.#giveUpReplay();
  }

  clear(): void {
    this.#first = null;
    this.#others = null;
    this.#bytes = 0;
    this.#sentBytes = 0;
  }

  #giveUpReplay(): void {
    this.#keepsSent = false;
    this.#dropSent();
  }

  #dropSent(): void {
    let left = this.#sentBytes;
    if (left === 0) return;
    this.#hasDropped = true;
    this.#bytes -= left;
    this.#sentBytes = 0;
    if (this.#first !== null) {
      left -= this.#first.length;
      this.#first = null;
    }
    while (left > 0 && this.#others !== null) left -= this.#others.take(left).length;
  }
}
