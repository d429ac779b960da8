import type { Socket } from "node:net";

import type { Clock } from "../core/clock.ts";
import { GradualVisit } from "../core/gradual-visit.ts";
import { resetConnection } from "../core/reset-connection.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { PeerExpiry } from "../identity/peer-expiry.ts";
import type { ConnectDone, UpstreamFacts } from "./connector.ts";

/** What is under way when the peer's certificate ends has this long. */
const GRACE_MS = 5_000;

export interface ExpiringHooks {
  /** Some peer's certificate has ended: nothing new is to be put on its connections. */
  expired(): void;
  /** A connection is cut, since something was under way on it for too long after that. */
  cut(facts: UpstreamFacts): void;
}

/** Mesh connections to upstreams, where they are to be closed once their peer's certificate has expired. */
export class ExpiringConnections {
  readonly #open = new Map<Socket, UpstreamFacts>();
  readonly #expiry: PeerExpiry;
  readonly #visit: GradualVisit<Socket>;
  readonly #hooks: ExpiringHooks;

  constructor(parts: { readonly clock: Clock; readonly timers: TimerWheel }, hooks: ExpiringHooks) {
    this.#expiry = new PeerExpiry([0, GRACE_MS], parts, () => this.#due());
    this.#visit = new GradualVisit(parts.clock);
    this.#hooks = hooks;
  }

  /** Watches what a dial gives, until it closes. */
  watching(done: ConnectDone): ConnectDone {
    return (error, socket, facts) => {
      if (socket !== null && facts?.peerExpiresAtMs !== undefined) this.#watch(socket, facts, facts.peerExpiresAtMs);
      done(error, socket, facts);
    };
  }

  /** Whether the certificate of the peer at the other end has ended. */
  hasExpired({ peerExpiresAtMs }: UpstreamFacts): boolean {
    return peerExpiresAtMs !== undefined && this.#expiry.hasPassed(peerExpiresAtMs);
  }

  #watch(socket: Socket, facts: UpstreamFacts, expiresAtMs: number): void {
    this.#open.set(socket, facts);
    socket.once("close", () => this.#open.delete(socket));
    this.#expiry.note(expiresAtMs);
  }

  #due(): void {
    this.#hooks.expired();
    this.#visit.begin(this.#open.keys(), (socket) => this.#judge(socket));
  }

  #judge(socket: Socket): void {
    const facts = this.#open.get(socket);
    if (facts?.peerExpiresAtMs === undefined) return;
    if (!this.#expiry.hasPassed(facts.peerExpiresAtMs, GRACE_MS)) {
      this.#expiry.note(facts.peerExpiresAtMs);
      return;
    }
    this.#open.delete(socket);
    this.#hooks.cut(facts);
    resetConnection(socket);
  }
}
