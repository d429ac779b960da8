import type { Socket } from "node:net";
import { HTTP1_OFFER, HTTP2_OFFER, type HttpOffer, isMultiplexed, ORIGINATED_HTTP1_OFFER, ORIGINATED_HTTP2_OFFER } from "../cluster/http-offer.ts";
import type { HealthCheckSpec } from "../config/snapshot-cluster.ts";
import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { UpstreamConnection } from "../message/stream.ts";
import type { Connector, Dialing, UpstreamFacts } from "../upstream/connector.ts";
import { Http1Client } from "../upstream/http1-client.ts";
import { Http2Client } from "../upstream/http2-client.ts";
import { isMeshTls, type TransportTls } from "../upstream/transport-tls.ts";
import { HealthExchange } from "./health-exchange.ts";
import type { ProbeOutcome } from "./health-verdict.ts";

/** What is probed: an address, and how it is spoken to. */
export interface ProbeTarget {
  readonly address: string;
  readonly port: number;
  readonly tls: TransportTls | null;
  /** Requests to it are HTTP/2. */
  readonly isHttp2: boolean;
  /** A PROXY header goes before the first byte, of a connection that is our own. */
  readonly proxyProtocol: "V1" | "V2" | null;
  readonly spec: HealthCheckSpec;
}

export interface ProbeParts {
  readonly connector: Pick<Connector, "connect">;
  readonly clock: Clock;
  readonly timers: TimerWheel;
}

const OPAQUE_ALPN = ["istio"];
/** Nobody asks a probe's connection for anything else. */
const OWNER = { idle: (): void => {}, closed: (): void => {}, capacityGrew: (): void => {}, goingAway: (): void => {} };

/**
 * Asks an endpoint once whether it is well, over a connection of its own and protected as the requests to it are. `done`
 * is told once, in a later turn, within `timeoutMs`.
 */
export class HealthProbe {
  readonly #target: ProbeTarget;
  readonly #parts: ProbeParts;
  readonly #done: (outcome: ProbeOutcome) => void;
  #dialing: Dialing | null = null;
  #socket: Socket | null = null;
  #exchange: HealthExchange | null = null;
  #timer: Timer | null = null;

  constructor(target: ProbeTarget, parts: ProbeParts, done: (outcome: ProbeOutcome) => void) {
    this.#target = target;
    this.#parts = parts;
    this.#done = done;
  }

  start(): void {
    const { address, port, tls, spec, proxyProtocol } = this.#target;
    this.#timer = this.#parts.timers.schedule(spec.timeoutMs, () => this.#end({ result: "failed", reason: `no answer within ${spec.timeoutMs} ms` }));
    // The time for the dial is part of the time for the whole.
    const alpn = spec.protocol !== "tcp" ? this.#offer().alpn : isMeshTls(tls) ? OPAQUE_ALPN : [];
    const target = {
      address, port, tls, alpn, fromLoopbackSource: false, connectTimeoutMs: 0,
      ...(proxyProtocol === null ? {} : { proxyHeader: { version: proxyProtocol, origin: null } }),
    };
    this.#dialing = this.#parts.connector.connect(target, (error, socket, facts) => {
      if (socket === null || facts === null) this.#end({ result: "failed", reason: error?.message ?? "no connection" });
      else this.#connected(socket, facts);
    });
  }

  /** Gives it up; nothing is told. */
  cancel(): void {
    this.#timer?.cancel();
    this.#dialing?.cancel();
    this.#exchange?.cancel();
    this.#socket?.destroy();
  }

  #connected(socket: Socket, facts: UpstreamFacts): void {
    this.#socket = socket;
    const { spec, tls } = this.#target;
    if (spec.protocol === "tcp") {
      this.#end({ result: "healthy", reason: "connected" });
      return;
    }
    this.#exchange = new HealthExchange(spec, (outcome) => this.#end(outcome));
    const client: UpstreamConnection = isMultiplexed(this.#offer(), facts.alpn)
      ? new Http2Client(socket, facts, OWNER, this.#parts)
      : new Http1Client(socket, facts, OWNER, this.#parts);
    this.#exchange.ask(client, tls === null ? "http" : "https");
  }

  #end(outcome: ProbeOutcome): void {
    this.cancel();
    this.#done(outcome);
  }

  #offer(): HttpOffer {
    const { spec, tls, isHttp2 } = this.#target;
    const wantsHttp2 = spec.protocol === "grpc" || isHttp2;
    if (tls !== null && !isMeshTls(tls)) return wantsHttp2 ? ORIGINATED_HTTP2_OFFER : ORIGINATED_HTTP1_OFFER;
    return wantsHttp2 ? HTTP2_OFFER : HTTP1_OFFER;
  }
}
