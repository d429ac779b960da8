import type { Clock } from "../core/clock.ts";
import type { AuthorizationNote } from "../message/authorization-note.ts";
import type { ConnectionFacts, SocketAddress } from "../message/connection-facts.ts";
import type { Direction, StreamInfo, StreamObserver, TcpInfo, TcpObserver } from "../message/stream-info.ts";
import { quote } from "./log-record.ts";
import type { LogSink } from "./log.ts";

/**
 * One JSON line per finished stream or opaque connection, with the keys of Istio's JSON default (spec/06 6.6) in its
 * order, and our own after them: `direction`, `peer_principal`, `attempts`, `authz`. Missing values are null. Times are whole
 * milliseconds, byte counts those of bodies.
 */
export class AccessLog implements StreamObserver, TcpObserver {
  /** `Snapshot.accessLog`: nothing is written while false. */
  isEnabled: boolean;
  readonly #sink: LogSink;
  readonly #clock: Clock;

  constructor(sink: LogSink, clock: Clock, isEnabled = false) {
    this.#sink = sink;
    this.#clock = clock;
    this.isEnabled = isEnabled;
  }

  done(info: StreamInfo, endedAtMs: number): void {
    if (!this.isEnabled) return;
    const { connection } = info;
    const service = info.upstreamServiceMs < 0 ? null : info.upstreamServiceMs;
    this.#sink.write(
      `{"start_time":"${this.#startTime(info.startedAtMs)}"`
      + `,"method":${text(info.method)},"path":${text(info.path)},"protocol":${text(info.version)}`
      + `,"response_code":${info.status},"response_flags":${quote(info.flags)},"response_code_details":${text(info.details)}`
      + `,"connection_termination_details":null,"upstream_transport_failure_reason":${text(info.transportFailure)}`
      + `,"bytes_received":${info.bytesReceived},"bytes_sent":${info.bytesSent},"duration":${durationMs(info.startedAtMs, endedAtMs)}`
      + `,"upstream_service_time":${service === null ? "null" : Math.round(service)}`
      + `,"x_forwarded_for":${text(info.forwardedFor)},"user_agent":${text(info.userAgent)}`
      + `,"request_id":${text(info.requestId)},"authority":${text(info.authority)}`
      + `,"upstream_host":${text(info.upstreamHost)},"upstream_cluster":${text(info.clusterName)}`
      + `,"upstream_local_address":${info.upstreamLocalAddress === null ? "null" : address(info.upstreamLocalAddress)}${connectionKeys(connection)}`
      + `,"route_name":${text(info.routeName)},"direction":"${info.direction}"`
      + `,"peer_principal":${text(peerPrincipal(info))},"attempts":${info.attempts},"authz":${info.authorization === null ? "null" : note(info.authorization)}}`,
    );
  }

  opened(_info: TcpInfo): void {
    // Opaque connections are logged once, when they close.
  }

  progressed(_info: TcpInfo): void {
    // As above.
  }

  closed(info: TcpInfo, endedAtMs: number): void {
    if (!this.isEnabled) return;
    this.#sink.write(
      `{"start_time":"${this.#startTime(info.startedAtMs)}","method":null,"path":null,"protocol":null`
      + `,"response_code":0,"response_flags":${quote(info.flags)},"response_code_details":null`
      + `,"connection_termination_details":${text(info.details)},"upstream_transport_failure_reason":null`
      + `,"bytes_received":${info.bytesReceived},"bytes_sent":${info.bytesSent},"duration":${durationMs(info.startedAtMs, endedAtMs)}`
      + `,"upstream_service_time":null,"x_forwarded_for":null,"user_agent":null,"request_id":null,"authority":null`
      + `,"upstream_host":${text(info.upstreamHost)},"upstream_cluster":${text(info.clusterName)}`
      + `,"upstream_local_address":${info.upstreamLocalAddress === null ? "null" : address(info.upstreamLocalAddress)}${connectionKeys(info.connection)}`
      + `,"route_name":null,"direction":"${info.direction}","peer_principal":${text(peerPrincipal(info))},"attempts":null,"authz":null}`,
    );
  }

  /** A connection that no filter chain takes, as the log of Envoy's listener tells it. */
  noFilterChain(direction: Direction, remote: SocketAddress, local: SocketAddress): void {
    if (!this.isEnabled) return;
    const start = new Date(this.#clock.wallMs()).toISOString();
    this.#sink.write(
      `{"start_time":"${start}","method":null,"path":null,"protocol":null`
      + `,"response_code":0,"response_flags":"NR","response_code_details":"filter_chain_not_found"`
      + `,"connection_termination_details":null,"upstream_transport_failure_reason":null`
      + `,"bytes_received":0,"bytes_sent":0,"duration":0,"upstream_service_time":null,"x_forwarded_for":null,"user_agent":null,"request_id":null,"authority":null`
      + `,"upstream_host":null,"upstream_cluster":null,"upstream_local_address":null${connectionKeys({ remote, local, isCaptured: true, tls: null })}`
      + `,"route_name":null,"direction":"${direction}","peer_principal":null,"attempts":null,"authz":null}`,
    );
  }

  /** The wall-clock time of a moment on the monotonic clock, so that a jump of the wall clock does not bend it. */
  #startTime(startedAtMs: number): string {
    return new Date(this.#clock.wallMs() - (this.#clock.monotonicMs() - startedAtMs)).toISOString();
  }
}

/** The policy and rule that denied, with the id under which the denial is explained; what policies that only look on said. */
function note({ policy, rule, recordId, audit, dryRun }: AuthorizationNote): string {
  return `{"policy":${text(policy)},"rule":${rule},"id":${text(recordId)},"audit":${text(audit)},"dry_run":${text(dryRun)}}`;
}

function connectionKeys(connection: ConnectionFacts): string {
  return `,"downstream_local_address":${address(connection.local)},"downstream_remote_address":${address(connection.remote)}`
    + `,"requested_server_name":${text(connection.tls?.serverName ?? connection.passthroughServerName ?? null)}`;
}

/** Who the other end proved to be: the caller inbound, the upstream outbound. */
function peerPrincipal(info: StreamInfo | TcpInfo): string | null {
  return info.direction === "inbound" ? info.connection.tls?.peer?.spiffeId ?? null : info.upstreamPrincipal;
}

function durationMs(startedAtMs: number, endedAtMs: number): number {
  return Math.max(0, Math.round(endedAtMs - startedAtMs));
}

function text(value: string | null): string {
  return value === null || value === "" ? "null" : quote(value);
}

function address(of: SocketAddress): string {
  return quote(of.address.includes(":") ? `[${of.address}]:${of.port}` : `${of.address}:${of.port}`);
}
