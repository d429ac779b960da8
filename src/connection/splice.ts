import type { Socket } from "node:net";
import { resetConnection } from "../core/reset-connection.ts";

/** Byte counts of a splice; grown while it runs. */
export interface SpliceCounts {
  /** Downstream to upstream, and back. */
  bytesReceived: number;
  bytesSent: number;
}

export type SpliceSide = "downstream" | "upstream";

/** Told once, when both sockets are gone: who cut the connection short, or null for a clean end. */
export type SpliceClosed = (cutBy: SpliceSide | null) => void;

/**
 * Joins two sockets and forwards bytes unread both ways until both have ended: a FIN is passed on as a FIN, so either
 * side may go on sending after the other stopped (half-close); a reset cuts both. A slow reader pauses its writer.
 */
export class Splice {
  readonly #downstream: Socket;
  readonly #upstream: Socket;
  readonly #counts: SpliceCounts;
  readonly #onClosed: SpliceClosed;
  #cutBy: SpliceSide | null = null;
  readonly #open = new Set<SpliceSide>(["downstream", "upstream"]);

  /** Both sockets are paused; the upstream is new. */
  constructor(downstream: Socket, upstream: Socket, counts: SpliceCounts, onClosed: SpliceClosed) {
    this.#downstream = downstream;
    this.#upstream = upstream;
    this.#counts = counts;
    this.#onClosed = onClosed;
  }

  /** Begins to forward; `firstBytes` were already read from the downstream. */
  start(firstBytes: Buffer | null): void {
    const downstream = this.#downstream;
    const upstream = this.#upstream;
    downstream.on("data", (chunk: Buffer) => this.#forwardUp(chunk));
    upstream.on("data", (chunk: Buffer) => this.#forwardDown(chunk));
    downstream.on("drain", () => upstream.resume());
    upstream.on("drain", () => downstream.resume());
    downstream.on("end", () => upstream.end());
    upstream.on("end", () => downstream.end());
    downstream.on("close", () => this.#onSocketClosed("downstream"));
    upstream.on("close", () => this.#onSocketClosed("upstream"));
    // A socket that has already closed may have said so before.
    if (downstream.closed) this.#onSocketClosed("downstream");
    if (upstream.closed) this.#onSocketClosed("upstream");
    if (this.#open.size < 2) return;
    upstream.resume();
    // Bytes in hand first; the pause they may cause has to win over the resume.
    downstream.resume();
    if (firstBytes !== null && firstBytes.length > 0) this.#forwardUp(firstBytes);
    // Nor does one whose FIN came while the upstream was being dialled.
    if (downstream.readableEnded) upstream.end();
  }

  /** Cuts both sides. */
  destroy(): void {
    this.#downstream.destroy();
    this.#upstream.destroy();
  }

  #forwardUp(chunk: Buffer): void {
    this.#counts.bytesReceived += chunk.length;
    if (!this.#upstream.write(chunk)) this.#downstream.pause();
  }

  #forwardDown(chunk: Buffer): void {
    this.#counts.bytesSent += chunk.length;
    if (!this.#downstream.write(chunk)) this.#upstream.pause();
  }

  #onSocketClosed(side: SpliceSide): void {
    if (!this.#open.delete(side)) return;
    const own = side === "downstream" ? this.#downstream : this.#upstream;
    const other = side === "downstream" ? this.#upstream : this.#downstream;
    // A socket that closed before both FINs were exchanged was cut: so is the other, or its peer would wait for ever.
    if (!own.readableEnded || !own.writableFinished) {
      this.#cutBy ??= side;
      if (!other.destroyed) resetConnection(other);
    }
    if (this.#open.size === 0) this.#onClosed(this.#cutBy);
  }
}
