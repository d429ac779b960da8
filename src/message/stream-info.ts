import type { AuthorizationNote } from "./authorization-note.ts";
import type { ConnectionFacts, SocketAddress } from "./connection-facts.ts";
import type { HttpVersion } from "./head.ts";
import { joinFlags } from "./response-flags.ts";
import type { VerifiedToken } from "./verified-token.ts";
import type { WorkloadLabels } from "./workload-labels.ts";

export type Direction = "inbound" | "outbound";

/** The service a request was for, as metrics name it. */
export interface ServiceRef {
  /** Fully qualified host. */
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

/**
 * The facts of one stream, filled while it lives and read once at its end by the observers (metrics, access log).
 * One shape for both directions, so that the class stays monomorphic.
 */
export class StreamInfo {
  readonly direction: Direction;
  readonly connection: ConnectionFacts;
  /** `Clock.monotonicMs` at the first byte of the request. */
  readonly startedAtMs: number;
  method = "";
  authority = "";
  path = "";
  version: HttpVersion = "HTTP/1.1";
  isGrpc = false;
  /** `grpc-status` of the response's trailers or head; -1 when there was none. */
  grpcStatus = -1;
  requestId: string | null = null;
  userAgent: string | null = null;
  forwardedFor: string | null = null;
  /** Bytes of body from and to the downstream. */
  bytesReceived = 0;
  bytesSent = 0;
  /** Heads and bodies as they were on the downstream wire. */
  requestWireBytes = 0;
  responseWireBytes = 0;
  /** Status sent downstream; 0 when there was none. */
  status = 0;
  /** Envoy response flags, joined by `,`; `-` for none. */
  flags = "-";
  details = "via_upstream";
  /** Why the transport to the upstream failed, in words; null when it did not. */
  transportFailure: string | null = null;
  routeName: string | null = null;
  /** What statistics of the route are kept under; null: none are. */
  statPrefix: string | null = null;
  clusterName: string | null = null;
  service: ServiceRef | null = null;
  /** `ip:port` of the endpoint last tried. */
  upstreamHost: string | null = null;
  /** Where we dialled it from; null when no connection was made. */
  upstreamLocalAddress: SocketAddress | null = null;
  /** SPIFFE ID the upstream proved, null on plaintext. */
  upstreamPrincipal: string | null = null;
  /** Who is at the other end: the caller when inbound, the endpoint when outbound. */
  peer: WorkloadLabels | null;
  /** What request authentication verified of the request; null: no token. */
  token: VerifiedToken | null = null;
  /** What authorization policies have to say of the request; null: nothing, or only that it passed. */
  authorization: AuthorizationNote | null = null;
  attempts = 0;
  /** Milliseconds from the request's end to the upstream's response head; -1 when there was none. */
  upstreamServiceMs = -1;

  constructor(direction: Direction, connection: ConnectionFacts, startedAtMs: number) {
    this.direction = direction;
    this.connection = connection;
    this.startedAtMs = startedAtMs;
    this.peer = connection.tunnel?.workload ?? null;
  }

  /** Adds a response flag, keeping each once, in Envoy's order. */
  addFlag(flag: string): void {
    this.flags = joinFlags(this.flags, flag);
  }
}

/** Told once per stream, after its last byte was written or it was cut. */
export interface StreamObserver {
  done(info: StreamInfo, endedAtMs: number): void;
}

/** The facts of one opaque TCP connection, for the same observers. */
export class TcpInfo {
  readonly direction: Direction;
  readonly connection: ConnectionFacts;
  readonly startedAtMs: number;
  /** Bytes from the downstream to the upstream, and back. */
  bytesReceived = 0;
  bytesSent = 0;
  flags = "-";
  details = "";
  clusterName: string | null = null;
  service: ServiceRef | null = null;
  upstreamHost: string | null = null;
  upstreamLocalAddress: SocketAddress | null = null;
  upstreamPrincipal: string | null = null;
  peer: WorkloadLabels | null;

  constructor(direction: Direction, connection: ConnectionFacts, startedAtMs: number) {
    this.direction = direction;
    this.connection = connection;
    this.startedAtMs = startedAtMs;
    this.peer = connection.tunnel?.workload ?? null;
  }
}

/** Told when an opaque connection opens, now and then while it lives, and when it closed. */
export interface TcpObserver {
  opened(info: TcpInfo): void;
  /** `info`'s byte counts grew; called at close and at most every few seconds before. */
  progressed(info: TcpInfo): void;
  closed(info: TcpInfo, endedAtMs: number): void;
}
