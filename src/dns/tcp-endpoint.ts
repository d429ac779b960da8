import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { MAX_QUERY_BYTES } from "./dns-query.ts";
import type { NameResolver } from "./name-resolver.ts";
import { TcpClient } from "./tcp-client.ts";

/** Connections at a time; a client needs one. */
const MAX_CLIENTS = 128;

/** Takes queries by TCP on one address (RFC 7766). */
export class TcpEndpoint {
  readonly #server: Server;
  readonly #address: string;
  readonly #clients = new Set<TcpClient>();

  constructor(resolver: NameResolver, timers: TimerWheel, address: string) {
    this.#address = address;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket: Socket) => {
      const client = new TcpClient(socket, resolver, timers, MAX_QUERY_BYTES, () => this.#clients.delete(client));
      this.#clients.add(client);
    });
    this.#server.maxConnections = MAX_CLIENTS;
  }

  /** Resolves with the port, `port` unless that is 0. Rejects with Node's error. */
  listen(port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ port, host: this.#address, ipv6Only: true, exclusive: true }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", () => undefined);
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Stops listening and cuts every connection. */
  close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
