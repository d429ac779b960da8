import { createServer, type Server, type Socket } from "node:net";
import { canonicalAddress } from "../core/cidr.ts";
import { KEEP_ALIVE_PROBE_MS } from "../core/keep-alive.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import type { OriginalDestination } from "./original-destination.ts";

/** Why an accepted connection was closed unserved. */
export type ListenerRefusal = "not_redirected" | "own_port" | "connection_limit";

/** Where a listener reports. */
export interface ListenerObserver {
  accepted(listener: string): void;
  closed(listener: string): void;
  refused(listener: string, remote: SocketAddress, reason: ListenerRefusal): void;
  /** Serving a connection threw; it was closed. */
  defect(listener: string, cause: unknown): void;
}

export interface ListenerOptions {
  /** For logs and metrics, `0.0.0.0_15006`. */
  readonly name: string;
  /** `::` takes IPv4 too; where the host has no IPv6 it becomes `0.0.0.0`. */
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Several data threads listen on the same port. */
  readonly reusePort: boolean;
  /** How to learn where a captured connection was going; null for a socket that is itself the destination. */
  readonly originalDestination: OriginalDestination | null;
  /** Connections open at the same time; more are closed at once. */
  readonly maxConnections: number;
}

/**
 * One accepting socket. It knows for whom a connection was meant and nothing of what is in it: a captured connection
 * is handed on with its original destination, one that was made to the capture port itself is refused, since
 * forwarding it would loop (`spec/01` 1.8).
 */
export class Listener {
  readonly options: ListenerOptions;
  readonly #accept: (socket: Socket, remote: SocketAddress, destination: SocketAddress) => void;
  readonly #observer: ListenerObserver;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #port = 0;

  constructor(
    options: ListenerOptions,
    accept: (socket: Socket, remote: SocketAddress, destination: SocketAddress) => void,
    observer: ListenerObserver,
  ) {
    this.options = options;
    this.#accept = accept;
    this.#observer = observer;
    // Half-open, because a client that is done sending may still wait for its answer; paused, because the first
    // bytes are read by whoever decides what they are.
    this.#server = createServer(
      { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS },
      (socket) => this.#onConnection(socket),
    );
    // Errors of a listening server after the start (EMFILE) are per accept; the next one may succeed.
    this.#server.on("error", () => undefined);
  }

  /** The port listened on; 0 before `listen`. */
  get port(): number {
    return this.#port;
  }

  get isAccepting(): boolean {
    return this.#server.listening;
  }

  /** Connections open now. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Binds and listens. Rejects with Node's error when the address cannot be had. */
  async listen(): Promise<number> {
    try {
      return await this.#listenOn(this.options.address);
    } catch (error) {
      if (this.options.address !== "::" || !isWithoutIpv6(error)) throw error;
      return this.#listenOn("0.0.0.0");
    }
  }

  /** Stops accepting; connections go on. */
  close(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Cuts what is still open. */
  destroyConnections(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  #listenOn(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => reject(error);
      this.#server.once("error", onError);
      this.#server.listen({ host: address, port: this.options.port, reusePort: this.options.reusePort, backlog: 1024 }, () => {
        this.#server.off("error", onError);
        const bound = this.#server.address();
        this.#port = bound !== null && typeof bound === "object" ? bound.port : this.options.port;
        resolve(this.#port);
      });
    });
  }

  #onConnection(socket: Socket): void {
    // A socket without a listener for 'error' would end the process when its peer resets.
    socket.on("error", () => undefined);
    const remote = { address: canonicalAddress(socket.remoteAddress ?? ""), port: socket.remotePort ?? 0 };
    this.#observer.accepted(this.options.name);
    this.#connections.add(socket);
    socket.once("close", () => {
      this.#connections.delete(socket);
      this.#observer.closed(this.options.name);
    });
    try {
      const destination = this.#destinationOf(socket);
      if (typeof destination !== "string") {
        this.#accept(socket, remote, destination);
        return;
      }
      this.#observer.refused(this.options.name, remote, destination);
      socket.resetAndDestroy();
    } catch (cause) {
      socket.destroy();
      this.#observer.defect(this.options.name, cause);
    }
  }

  #destinationOf(socket: Socket): SocketAddress | ListenerRefusal {
    if (this.#connections.size > this.options.maxConnections) return "connection_limit";
    const own = { address: canonicalAddress(socket.localAddress ?? ""), port: socket.localPort ?? this.#port };
    if (this.options.originalDestination === null) return own;
    const destination = this.options.originalDestination(socket);
    if (destination === null) return "not_redirected";
    return destination.port === this.#port ? "own_port" : destination;
  }
}

function isWithoutIpv6(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}
