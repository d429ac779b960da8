import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { decode, encode, type RecordType } from "dns-packet";

import { frame, MessageFrames } from "../../src/dns/message-frames.ts";

export function dnsQuery(name: string, type: RecordType = "A", id = 0x1234): Buffer {
  return encode({ type: "query", id, flags: 0x0100, questions: [{ name, type, class: "IN" }] });
}

/** Sends datagrams from one socket and resolves with the first `count` that come back. */
export async function askUdp(port: number, messages: readonly Buffer[], options: { address?: string; count?: number } = {}): Promise<Buffer[]> {
  const { address = "127.0.0.1", count = messages.length } = options;
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const replies: Buffer[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on("error", reject);
      socket.on("message", (reply) => {
        replies.push(reply);
        if (replies.length === count) resolve();
      });
      for (const message of messages) socket.send(message, port, address);
    });
  } finally {
    socket.close();
  }
  return replies;
}

/** A connection to the resolver. */
export class DnsConnection {
  readonly socket: Socket;
  readonly replies: Buffer[] = [];
  readonly closed: Promise<void>;
  readonly #frames = new MessageFrames(65_535);
  readonly #watchers = new Set<() => void>();

  /** `from`: the client's own address and port, where they matter. */
  constructor(port: number, address = "127.0.0.1", from: { readonly localAddress?: string; readonly localPort?: number } = {}) {
    this.socket = connect({ port, host: address, allowHalfOpen: true, ...from });
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => this.socket.end());
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    this.socket.on("data", (chunk: Buffer) => {
      this.#frames.add(chunk);
      for (let reply = this.#frames.next(); reply !== null && reply !== undefined; reply = this.#frames.next()) this.replies.push(reply);
      for (const watcher of this.#watchers) watcher();
    });
  }

  send(...messages: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(messages.map(frame)));
  }

  /** Resolves once there are `count` answers. */
  async waitFor(count: number): Promise<Buffer[]> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.replies.length < count) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
    return this.replies;
  }
}

/** The addresses of an answer, in its order; its response code when that is no success. */
export function addressesOf(reply: Buffer | undefined): string[] {
  if (reply === undefined) return ["nothing"];
  const { answers = [], rcode } = decode(reply) as ReturnType<typeof decode> & { rcode: string };
  if (rcode !== "NOERROR") return [rcode];
  return answers.flatMap((answer) => (answer.type === "A" || answer.type === "AAAA" ? [answer.data] : []));
}
