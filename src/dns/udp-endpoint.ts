import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { NameResolver } from "./name-resolver.ts";

/** Takes queries by UDP on one address. */
export class UdpEndpoint {
  readonly #resolver: NameResolver;
  readonly #socket: Socket;
  readonly #address: string;
  #isClosed = false;

  constructor(resolver: NameResolver, address: string) {
    this.#resolver = resolver;
    this.#address = address;
    this.#socket = isIPv6(address) ? createSocket({ type: "udp6", ipv6Only: true }) : createSocket("udp4");
    this.#socket.on("message", (message, from) => this.#onMessage(message, from));
  }

  /** Resolves with the port, `port` unless that is 0. Rejects with Node's error. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.bind({ port, address: this.#address, exclusive: true }, () => {
        this.#socket.off("error", reject);
        // An answer that could not be sent is a lost datagram, which clients expect.
        this.#socket.on("error", () => undefined);
        resolve(this.#socket.address().port);
      });
    });
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #onMessage(message: Buffer, from: RemoteInfo): void {
    this.#resolver.answer(message, "udp", from.port, (reply) => {
      if (reply !== null && !this.#isClosed) this.#socket.send(reply, from.port, from.address, () => undefined);
    });
  }
}
