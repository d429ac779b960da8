import { readFileSync } from "node:fs";
import type { Socket } from "node:net";

const CHUNK = Buffer.alloc(64 * 1024, "x");
/** A writer that got nothing out for so long is taken for held back. */
const STALL_MS = 400;

/** Writes so many bytes to a socket, no faster than it takes them, and ends it. */
export class PatientWriter {
  /** Bytes the socket took; what is still in its own buffer counts as not taken. */
  get taken(): number {
    return this.#written - this.#socket.writableLength;
  }

  readonly #socket: Socket;
  readonly #total: number;
  #written = 0;

  constructor(socket: Socket, total: number) {
    this.#socket = socket;
    this.#total = total;
    socket.on("drain", () => this.#write());
    socket.on("error", () => socket.destroy());
    if (socket.connecting) socket.once("connect", () => this.#write());
    else this.#write();
  }

  /** Resolves once nothing more is taken, because the reader holds it back or because all was taken. */
  async stalled(): Promise<void> {
    for (let before = -1; before !== this.taken || before === 0;) {
      before = this.taken;
      await new Promise((resolve) => {
        setTimeout(resolve, STALL_MS);
      });
    }
  }

  #write(): void {
    while (this.#written < this.#total) {
      const chunk = CHUNK.subarray(0, Math.min(CHUNK.length, this.#total - this.#written));
      this.#written += chunk.length;
      if (!this.#socket.write(chunk)) return;
    }
    this.#socket.end();
  }
}

/** Bytes that the kernel may hold in both buffers of so many connections in a row, at the most: no proxy has to hold any of them. */
export function kernelBytes(connections: number): number {
  const most = (file: string): number => Number(readFileSync(`/proc/sys/net/ipv4/${file}`, "latin1").trim().split(/\s+/)[2]);
  return connections * (most("tcp_wmem") + most("tcp_rmem"));
}
