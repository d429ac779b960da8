import type { Socket } from "node:net";
import type { ProxyError } from "../message/proxy-error.ts";
import type { Dialing, UpstreamFacts } from "../upstream/connector.ts";
import type { TransportTls } from "../upstream/transport-tls.ts";
import type { ConnectionKind } from "./cluster-metrics.ts";
import type { Endpoint } from "./endpoint.ts";
import { type HttpOffer, isMultiplexed } from "./http-offer.ts";
import type { PoolOwner } from "./pool-owner.ts";

/** After a dial has failed, none is made for mere convenience for this long. */
const PAUSE_MS = 1_000;

/** The pool, as its dials know it. Each dial ends with one of the two calls, unless it is cancelled. */
export interface DialHost {
  readonly endpoint: Endpoint;
  readonly tls: TransportTls | null;
  readonly offer: HttpOffer;
  connected(socket: Socket, facts: UpstreamFacts): void;
  dialFailed(error: ProxyError): void;
}

/** The dials of one pool. */
export class PoolDials {
  readonly #host: DialHost;
  readonly #owner: PoolOwner;
  readonly #underWay = new Set<Dialing>();
  #count = 0;
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

  #fail(error: ProxyError): void {
    this.#pausedUntilMs = this.#owner.parts.clock.monotonicMs() + PAUSE_MS;
    this.#host.dialFailed(error);
  }

  readonly #kindOf = (facts: UpstreamFacts): ConnectionKind => (isMultiplexed(this.#host.offer, facts.alpn) ? "http2" : "http1");
}
