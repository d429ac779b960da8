import type { Socket } from "node:net";
import type { Timer } from "../core/timer-wheel.ts";
import type { UpstreamConnectionOwner } from "../message/stream.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { OpenClient, PooledClient } from "./dial.ts";
import type { RequestLease } from "./request-lease.ts";

/** The pool, as a connection knows it. */
export interface PooledConnectionHost {
  connectionIdle(connection: PooledConnection): void;
  connectionClosed(connection: PooledConnection): void;
}

/** A connection of a pool: its client and what the pool keeps of it. Its host writes the fields. */
export class PooledConnection implements UpstreamConnectionOwner {
  readonly facts: UpstreamFacts;
  readonly openedAtMs: number;
  requestCount = 0;
  idleSinceMs = 0;
  /** How long it had been idle when it was last taken. */
  takenAfterMs = 0;
  /** The request it carries. */
  lease: RequestLease | null = null;
  /** It closes when its request is done. */
  isRetiring = false;
  isClosed = false;
  /** Runs where connections may only become so old. */
  lifetime: Timer | null = null;
  readonly #host: PooledConnectionHost;
  #client: PooledClient | null = null;

  constructor(host: PooledConnectionHost, facts: UpstreamFacts, openedAtMs: number) {
    this.#host = host;
    this.facts = facts;
    this.openedAtMs = openedAtMs;
  }

  /** Makes the client. When `isClosed` is true after it, the socket was already gone; the host is not told. */
  open(socket: Socket, openClient: OpenClient): void {
    this.#client = openClient(socket, this.facts, this);
  }

  get client(): PooledClient {
    if (this.#client === null) throw new Error("the connection was not opened");
    return this.#client;
  }

  /** From the client: the exchange is over. Ignored when there was none, so that no connection is freed twice. */
  idle(): void {
    if (this.isClosed || this.lease === null) return;
    this.#host.connectionIdle(this);
  }

  /** From the client: the socket is gone. */
  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.#client !== null) this.#host.connectionClosed(this);
  }
}
