import type { Socket } from "node:net";
import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { TcpReceiver } from "../cluster/tcp-dial.ts";
import type { TcpLease } from "../cluster/tcp-lease.ts";
import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import { resetConnection } from "../core/reset-connection.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { TcpInfo, TcpObserver } from "../message/stream-info.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import { connectOpaque } from "./connect-opaque.ts";
import type { EarlyDial } from "./early-dial.ts";
import { Splice, type SpliceSide } from "./splice.ts";

/** How often a long connection's byte counts are reported (`spec/06` 6.1). */
const PROGRESS_MS = 5_000;
const CUT_FLAGS: Readonly<Record<SpliceSide, string>> = { downstream: "DC", upstream: "UC" };
const CUT_DETAILS: Readonly<Record<SpliceSide, string>> = { downstream: "downstream_remote_disconnect", upstream: "upstream_remote_disconnect" };

export interface TcpConnectionParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly observers: readonly TcpObserver[];
  readonly defect: DefectObserver;
}

/**
 * - `dialling`: no upstream yet, the downstream is not read.
 * - `joined`: bytes go both ways.
 * - `over`: the observers were told.
 */
type Phase = "dialling" | "joined" | "over";

/** Why we cut a connection that both sides would have kept, as Envoy says it. */
interface Ending {
  readonly flag: string;
  readonly details: string;
}

const TIME_LIMITS = {
  idle: { flag: "SI", details: "tcp_session_idle_timeout" },
  duration: { flag: "DT", details: "max_connection_duration_reached" },
} as const satisfies Record<string, Ending>;

/** An open connection, for whoever looks whether it may go on. */
export type OpenConnection = Pick<TcpConnection, "facts" | "upstream" | "awaits" | "close">;

/** One opaque connection: dials an endpoint, joins the two sockets, and tells the observers of its life. */
export class TcpConnection implements TcpReceiver {
  readonly #socket: Socket;
  readonly #firstBytes: Buffer | null;
  readonly #info: TcpInfo;
  readonly #parts: TcpConnectionParts;
  readonly #onOver: (connection: TcpConnection) => void;
  #phase: Phase = "dialling";
  #dialing: Acquisition | null = null;
  #lease: TcpLease | null = null;
  #splice: Splice | null = null;
  #checks: Timer | null = null;
  #idleTimeoutMs = 0;
  #maxDurationMs = 0;
  #movedBytes = 0;
  #movedAtMs: number;
  /** Ours; null: it ends by itself. */
  #ending: Ending | null = null;
  /** Somebody who is asked about it while it goes on; null: nobody is. */
  #asked: { cancel(): void } | null = null;

  constructor(socket: Socket, firstBytes: Buffer | null, info: TcpInfo, parts: TcpConnectionParts, onOver: (connection: TcpConnection) => void) {
    this.#socket = socket;
    this.#firstBytes = firstBytes;
    this.#info = info;
    this.#parts = parts;
    this.#onOver = onOver;
    this.#movedAtMs = info.startedAtMs;
  }

  /**
   * Carries the connection to its end, with what `early` has dialled if it has. `cluster` undefined: the configuration
   * names one that does not exist.
   */
  start(cluster: Cluster | undefined, early: EarlyDial | null): void {
    if (cluster === undefined) {
      this.#fail(new ProxyError("cluster_not_found", this.#info.clusterName ?? ""));
      return;
    }
    this.#idleTimeoutMs = cluster.spec.limits.tcpIdleTimeoutMs;
    this.#maxDurationMs = cluster.spec.limits.maxConnectionDurationMs ?? 0;
    this.#socket.on("close", this.#onAbandoned);
    const dialing = early?.handOver(this) === true ? early : connectOpaque(cluster, this.#info.connection, this);
    // The answer may have come within the call.
    if (this.#phase === "dialling") this.#dialing = dialing;
  }

  get facts(): ConnectionFacts {
    return this.#info.connection;
  }

  /** What is known of the upstream; null before there is one. */
  get upstream(): UpstreamFacts | null {
    return this.#lease?.facts ?? null;
  }

  /** True from the moment it is cut. */
  get isOver(): boolean {
    return this.#phase === "over" || this.#ending !== null;
  }

  /** Somebody was asked whether it may go on, in place of whoever was before; null: nobody was. Cancelled when it is over. */
  awaits(asked: { cancel(): void } | null): void {
    this.#asked?.cancel();
    this.#asked = asked;
    if (this.isOver) asked?.cancel();
  }

  /** Ends it because it is no longer allowed; `details` say by what. */
  close(details: string): void {
    this.awaits(null);
    if (this.#phase === "joined") {
      this.#cut({ flag: "-", details });
    } else if (this.#phase === "dialling") {
      this.#socket.off("close", this.#onAbandoned);
      this.#dialing?.cancel();
      resetConnection(this.#socket);
      this.#info.details = details;
      this.#end("-");
    }
  }

  // === The dial ===

  connected(upstream: Socket, lease: TcpLease): void {
    this.#lease = lease;
    try {
      this.#join(upstream, lease);
    } catch (cause) {
      upstream.destroy();
      this.#breakOff(cause);
    }
  }

  failed(error: ProxyError, endpoint: Endpoint | null): void {
    if (endpoint !== null) this.#info.upstreamHost = endpoint.name;
    try {
      this.#fail(error);
    } catch (cause) {
      this.#breakOff(cause);
    }
  }

  readonly #onAbandoned = (): void => {
    this.#dialing?.cancel();
    this.#info.details = CUT_DETAILS.downstream;
    this.#end(CUT_FLAGS.downstream);
  };

  #fail(error: ProxyError): void {
    this.#info.details = error.message;
    this.#socket.off("close", this.#onAbandoned);
    // Nothing was said to the downstream yet, so a reset tells it more than an empty close would.
    resetConnection(this.#socket);
    const { flag } = error.attributes;
    // Every endpoint that may be tried was: Envoy says so beside the reason.
    this.#end(flag === "UF" ? "UF,URX" : flag);
  }

  // === Bytes ===

  #join(upstream: Socket, lease: TcpLease): void {
    const info = this.#info;
    this.#phase = "joined";
    this.#dialing = null;
    this.#socket.off("close", this.#onAbandoned);
    info.upstreamHost = lease.endpoint.name;
    info.upstreamLocalAddress = lease.facts.local;
    info.upstreamPrincipal = lease.peerSpiffeId;
    if (info.direction === "outbound") info.peer = lease.endpoint.spec.labels;
    this.#movedAtMs = this.#parts.clock.monotonicMs();
    this.#tellOpened();
    this.#scheduleCheck();
    this.#splice = new Splice(this.#socket, upstream, info, (cutBy) => this.#onSpliceClosed(cutBy));
    this.#splice.start(this.#firstBytes);
  }

  #onSpliceClosed(cutBy: SpliceSide | null): void {
    if (this.#ending !== null) {
      this.#info.details = this.#ending.details;
      this.#end(this.#ending.flag);
      return;
    }
    if (cutBy !== null) this.#info.details = CUT_DETAILS[cutBy];
    this.#end(cutBy === null ? "-" : CUT_FLAGS[cutBy]);
  }

  #scheduleCheck(): void {
    let delayMs = this.#idleTimeoutMs === 0 ? PROGRESS_MS : Math.min(PROGRESS_MS, this.#idleTimeoutMs);
    if (this.#maxDurationMs > 0) delayMs = Math.max(0, Math.min(delayMs, this.#info.startedAtMs + this.#maxDurationMs - this.#parts.clock.monotonicMs()));
    this.#checks = this.#parts.timers.schedule(delayMs, this.#onCheck);
  }

  /** One timer for the life of the connection: what moved is found by comparing, so that no byte touches a timer. */
  readonly #onCheck = (): void => {
    const { bytesReceived, bytesSent, startedAtMs } = this.#info;
    const now = this.#parts.clock.monotonicMs();
    if (this.#maxDurationMs > 0 && now - startedAtMs >= this.#maxDurationMs) {
      this.#cut(TIME_LIMITS.duration);
      return;
    }
    if (bytesReceived + bytesSent !== this.#movedBytes) {
      this.#movedBytes = bytesReceived + bytesSent;
      this.#movedAtMs = now;
      this.#tell((observer) => observer.progressed(this.#info));
    } else if (this.#idleTimeoutMs > 0 && now - this.#movedAtMs >= this.#idleTimeoutMs) {
      this.#cut(TIME_LIMITS.idle);
      return;
    }
    this.#scheduleCheck();
  };

  #cut(ending: Ending): void {
    this.#ending = ending;
    this.#splice?.destroy();
  }

  // === The end ===

  #end(flag: string): void {
    if (this.#phase === "over") return;
    // One that was never joined is opened and closed at once, when all that can be known of it is.
    if (this.#phase === "dialling") this.#tellOpened();
    this.#phase = "over";
    this.#checks?.cancel();
    this.#asked?.cancel();
    this.#lease?.release();
    this.#onOver(this);
    this.#info.flags = flag;
    this.#tell((observer) => observer.closed(this.#info, this.#parts.clock.monotonicMs()));
  }

  /** Told when the upstream is known, since metrics count by it. */
  #tellOpened(): void {
    this.#tell((observer) => observer.opened(this.#info));
  }

  /** An observer that fails costs its own numbers, never the connection. */
  #tell(what: (observer: TcpObserver) => void): void {
    for (const observer of this.#parts.observers) {
      try {
        what(observer);
      } catch (cause) {
        this.#parts.defect("tcp_observer", cause);
      }
    }
  }

  #breakOff(cause: unknown): void {
    this.#parts.defect(`${this.#info.direction}_tcp`, cause);
    this.#socket.destroy();
    this.#info.details = "internal_error";
    this.#end("-");
  }
}
