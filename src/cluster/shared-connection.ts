import type { Socket } from "node:net";
import type { MultiplexedConnection, MultiplexedConnectionOwner } from "../message/stream.ts";
import type { Timer } from "../core/timer-wheel.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { MultiplexedOptions, OpenMultiplexed } from "./dial.ts";

/** The pool's connections, as one of them knows them. */
export interface SharedConnectionHost {
  capacityGrew(): void;
  goingAway(connection: SharedConnection): void;
  closed(connection: SharedConnection): void;
}

/**
 * A connection that carries many requests at once: its client and what the pool keeps of it. Its host writes the fields.
 */
export class SharedConnection implements MultiplexedConnectionOwner {
  readonly facts: UpstreamFacts;
  readonly openedAtMs: number;
  /**
   * - `serving`: takes requests.
   * - `retiring`: finishes those it carries.
   * - `closed`.
   */
  state: "serving" | "retiring" | "closed" = "serving";
  /** Requests that hold it now, sent or about to be. */
  leases = 0;
  requestCount = 0;
  /** When it last became idle; holds while `leases` is 0. */
  idleSinceMs: number;
  /** How long it had been idle when it was last taken; 0 when it was not. */
  takenAfterMs = 0;
  /** Since when it has been backed up at every look; -1 when it was not at the last. */
  backedUpSinceMs = -1;
  /** The end of it is our doing. */
  isClosedByUs = false;
  /** Runs where connections may only become so old. */
  lifetime: Timer | null = null;
  readonly #host: SharedConnectionHost;
  #client: MultiplexedConnection | null = null;

  constructor(host: SharedConnectionHost, facts: UpstreamFacts, openedAtMs: number) {
    this.#host = host;
    this.facts = facts;
    this.openedAtMs = openedAtMs;
    this.idleSinceMs = openedAtMs;
  }

  /** Makes the client. When the state is `closed` after it, the socket was already gone; the host is not told. */
  open(socket: Socket, open: OpenMultiplexed, options: MultiplexedOptions): void {
    const client = open(socket, this.facts, this, options);
    this.#client = client;
  }

  get client(): MultiplexedConnection {
    if (this.#client === null) throw new Error("the connection was not opened");
    return this.#client;
  }

  /** It may carry a request that must not be lost to the keep-alive race: it is new, or others prove it alive. */
  get isFresh(): boolean {
    return this.requestCount === 0 || this.leases > 0;
  }

  // === From the client ===

  capacityGrew(): void {
    if (this.state === "serving" && this.#client !== null) this.#host.capacityGrew();
  }

  goingAway(): void {
    if (this.state !== "serving") return;
    if (this.#client === null) this.state = "retiring";
    else this.#host.goingAway(this);
  }

  closed(): void {
    if (this.state === "closed") return;
    if (this.#client === null) this.state = "closed";
    else this.#host.closed(this);
  }
}
