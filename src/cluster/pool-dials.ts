import type { Socket } from "node:net";
import type { Timer } from "../core/timer-wheel.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { Dialing, UpstreamFacts } from "../upstream/connector.ts";
import type { TransportTls } from "../upstream/transport-tls.ts";
import type { ConnectionKind } from "./cluster-metrics.ts";
import type { Endpoint } from "./endpoint.ts";
import { type HttpOffer, isMultiplexed } from "./http-offer.ts";
import type { PoolOwner } from "./pool-owner.ts";

/** After a dial has failed, none is made for mere convenience for this long. */
const PAUSE_MS = 1_000;

/** How often a place that other threads hold is looked after while requests wait for it. */
const LOOK_MS = 50;

/** The pool, as its dials know it. Each dial ends with one of the two calls, unless it is cancelled. */
export interface DialHost {
  readonly endpoint: Endpoint;
  readonly tls: TransportTls | null;
  readonly offer: HttpOffer;
  /** Requests that wait for a connection. */
  readonly waitingCount: number;
  /** Another thread has closed a connection: one more may be allowed. */
  placeMayBeFree(): void;
  connected(socket: Socket, facts: UpstreamFacts): void;
  dialFailed(error: ProxyError): void;
}

/** The dials of one pool. */
export class PoolDials {
  readonly #host: DialHost;
  readonly #owner: PoolOwner;
  readonly #underWay = new Set<Dialing>();
  #count = 0;
  #look: Timer | null = null;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;

  constructor(host: DialHost, owner: PoolOwner) {
    this.#host = host;
    this.#owner = owner;
  }

  /** Dials under way. */
  get count(): number {
    return this.#count;
  }

  /** A dial failed a moment ago. */
  get isPaused(): boolean {
    return this.#owner.parts.clock.monotonicMs() < this.#pausedUntilMs;
  }

  /**
   * Counts one more connection if that is allowed; `start` must follow. A pool without a connection (`hasNone`) may always
   * have one, or its requests would wait for ever (`spec/04` 4.9).
   */
  tryReserve(hasNone: boolean): boolean {
    const { connections } = this.#owner.limits;
    if (connections.tryAdd()) return true;
    if (hasNone && this.#count === 0) {
      connections.add();
      return true;
    }
    if (connections.isTakenElsewhere) this.#lookAgain();
    return false;
  }

  /** For a connection that was reserved. */
  start(): void {
    this.#count++;
    let dialing: Dialing | null = null;
    let isOver = false;
    const { endpoint, tls, offer } = this.#host;
    dialing = this.#owner.dialler.connect(endpoint, this.#owner.spec, tls, offer.alpn, this.#kindOf, (error, socket, facts) => {
      isOver = true;
      if (dialing !== null) this.#underWay.delete(dialing);
      this.#count--;
      if (error !== null) this.#fail(error);
      else if (socket !== null && facts !== null) this.#host.connected(socket, facts);
    });
    // The answer may have come within the call.
    if (!isOver) this.#underWay.add(dialing);
  }

  /** Gives up all of them. */
  cancelAll(): void {
    for (const dialing of this.#underWay) dialing.cancel();
    this.#count -= this.#underWay.size;
    this.#underWay.clear();
  }

  /** Ends the timer. */
  stop(): void {
    this.#look?.cancel();
    this.#look = null;
  }

  /** What this thread closes makes it look by itself; what others close it has to find out. */
  #lookAgain(): void {
    this.#look ??= this.#owner.parts.timers.schedule(LOOK_MS, () => {
      this.#look = null;
      if (this.#host.waitingCount === 0) return;
      if (this.#owner.limits.connections.isReached) this.#lookAgain();
      else this.#host.placeMayBeFree();
    });
  }

  #fail(error: ProxyError): void {
    this.#pausedUntilMs = this.#owner.parts.clock.monotonicMs() + PAUSE_MS;
    this.#host.dialFailed(error);
  }

  readonly #kindOf = (facts: UpstreamFacts): ConnectionKind => (isMultiplexed(this.#host.offer, facts.alpn) ? "http2" : "http1");
}
