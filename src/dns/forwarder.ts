import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { Logger } from "../telemetry/log.ts";
import type { DnsMetrics } from "./dns-metrics.ts";
import type { DnsQuery } from "./dns-query.ts";
import type { Protocol } from "./dns-reply.ts";
import { shuffled } from "./shuffled.ts";
import { TcpExchange } from "./tcp-exchange.ts";
import { UdpExchange } from "./udp-exchange.ts";
import type { NameServer, UpstreamExchange } from "./upstream-exchange.ts";

/** How long one server may take (spec/01 1.9). */
const TIMEOUT_MS = 5000;
/** Queries under way at the same time, each with a socket of its own. */
const MAX_IN_FLIGHT = 256;

export interface ForwarderOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
}

/** One query under way, until a server has answered or none is left. */
class Forwarding {
  readonly query: DnsQuery;
  readonly protocol: Protocol;
  readonly servers: NameServer[];
  readonly startedAtMs: number;
  readonly done: (reply: Buffer | null) => void;
  /** Of the present attempt. */
  server: NameServer | null = null;
  exchange: UpstreamExchange | null = null;
  deadline: Timer | null = null;

  constructor(query: DnsQuery, protocol: Protocol, servers: NameServer[], startedAtMs: number, done: (reply: Buffer | null) => void) {
    this.query = query;
    this.protocol = protocol;
    this.servers = servers;
    this.startedAtMs = startedAtMs;
    this.done = done;
  }

  /** Nothing of the present attempt is heard any more. */
  endAttempt(): void {
    this.exchange?.cancel();
    this.deadline?.cancel();
    this.exchange = null;
  }
}

/**
 * Puts queries to the name servers of resolv.conf: one after the other in a random order, by the protocol the client
 * uses. The first that answers counts, whatever it says.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #underWay = new Set<Forwarding>();
  #servers: readonly NameServer[] = [];

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** Whom to ask from now on. */
  useServers(servers: readonly NameServer[]): void {
    this.#servers = servers;
  }

  /** Whether another query can be taken. */
  get hasRoom(): boolean {
    return this.#underWay.size < MAX_IN_FLIGHT;
  }

  /** `done` is called once: with the answer under the client's id, or null when no server gave one. */
  forward(query: DnsQuery, protocol: Protocol, done: (reply: Buffer | null) => void): void {
    const { random, clock, metrics } = this.#options;
    metrics.upstreamRequests.add(1);
    const forwarding = new Forwarding(query, protocol, shuffled(this.#servers, random), clock.monotonicMs(), done);
    this.#underWay.add(forwarding);
    this.#tryNext(forwarding);
  }

  /**
   * Whether a message from `port` is one of our own that came back to us, because a rule captures the proxy's traffic or
   * a name server sends it here. The query it belongs to goes on to the next server. A client may have the same port towards
   * another address, so that the message has to be ours as well, with the id nobody else knows.
   */
  stopLoop(protocol: Protocol, port: number, message: Buffer): boolean {
    for (const forwarding of this.#underWay) {
      const { exchange } = forwarding;
      if (forwarding.protocol !== protocol || exchange?.localPort !== port || !exchange.message.equals(message)) continue;
      this.#giveUpServer(forwarding, "the query came back to us");
      return true;
    }
    return false;
  }

  /** Forgets all that is under way; nobody is told. */
  close(): void {
    for (const forwarding of this.#underWay) forwarding.endAttempt();
    this.#underWay.clear();
  }

  #tryNext(forwarding: Forwarding): void {
    const server = forwarding.servers.shift();
    if (server === undefined) {
      this.#finish(forwarding, null);
      return;
    }
    forwarding.server = server;
    forwarding.deadline = this.#options.timers.schedule(TIMEOUT_MS, () => this.#giveUpServer(forwarding, "no answer in time"));
    const Exchange = forwarding.protocol === "udp" ? UdpExchange : TcpExchange;
    forwarding.exchange = new Exchange(forwarding.query, server, {
      answered: (reply) => this.#finish(forwarding, reply),
      failed: (reason) => this.#giveUpServer(forwarding, reason),
    });
  }

  #giveUpServer(forwarding: Forwarding, reason: string): void {
    this.#options.log.limited("warn", "name server failed", { server: forwarding.server?.address ?? "", reason });
    forwarding.endAttempt();
    this.#tryNext(forwarding);
  }

  #finish(forwarding: Forwarding, reply: Buffer | null): void {
    const { metrics, clock } = this.#options;
    forwarding.endAttempt();
    this.#underWay.delete(forwarding);
    if (reply === null) metrics.upstreamFailures.add(1);
    metrics.upstreamSeconds.observe((clock.monotonicMs() - forwarding.startedAtMs) / 1000);
    forwarding.done(reply);
  }
}
