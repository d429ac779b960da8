import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { LimitsSpec, TcpKeepAliveSpec } from "../snapshot.ts";

/** Istio's idle time-out of upstream connections, HTTP and opaque. */
const DEFAULT_IDLE_MS = 3_600_000;
/** Linux's keepalive, for what a `tcpKeepalive` leaves out. */
const SYSTEM_KEEP_ALIVE: TcpKeepAliveSpec = { timeMs: 7_200_000, intervalMs: 75_000, probes: 9 };
/** The kernel's bounds: seconds, and probes. */
const MIN_KEEP_ALIVE_MS = 1_000;
const MAX_KEEP_ALIVE_MS = 32_767_000;
const MAX_PROBES = 127;

/** What the mesh says of all pools. */
interface MeshLimits {
  readonly connectTimeoutMs: number;
  readonly tcpKeepalive: TcpKeepalive | null;
}

/** As written in a connection pool or a MeshConfig. */
export type TcpKeepalive = NonNullable<NonNullable<ConnectionPool["tcp"]>["tcpKeepalive"]>;

/** The limits of a cluster from its connection pool, or those of the mesh, or the defaults (spec/04 4.3). */
export function compileLimits(pool: ConnectionPool | undefined, mesh: MeshLimits): LimitsSpec {
  const tcp = pool?.tcp;
  const http = pool?.http;
  const keepAlive = tcp?.tcpKeepalive ?? mesh.tcpKeepalive;
  return {
    connectTimeoutMs: tcp?.connectTimeout ?? mesh.connectTimeoutMs,
    idleTimeoutMs: http?.idleTimeout ?? tcp?.idleTimeout ?? DEFAULT_IDLE_MS,
    tcpIdleTimeoutMs: tcp?.idleTimeout ?? DEFAULT_IDLE_MS,
    maxConnections: limit(tcp?.maxConnections),
    maxPendingRequests: limit(http?.http1MaxPendingRequests),
    maxRequests: limit(http?.http2MaxRequests),
    maxRetries: limit(http?.maxRetries),
    maxRequestsPerConnection: limit(http?.maxRequestsPerConnection),
    maxConcurrentStreams: limit(http?.maxConcurrentStreams),
    ...(keepAlive === null ? {} : { tcpKeepAlive: compileKeepAlive(keepAlive) }),
    ...(tcp?.maxConnectionDuration === undefined ? {} : { maxConnectionDurationMs: tcp.maxConnectionDuration }),
  };
}

function compileKeepAlive({ time, interval, probes }: TcpKeepalive): TcpKeepAliveSpec {
  return {
    timeMs: clampKeepAlive(time ?? SYSTEM_KEEP_ALIVE.timeMs),
    intervalMs: clampKeepAlive(interval ?? SYSTEM_KEEP_ALIVE.intervalMs),
    probes: Math.min(probes || SYSTEM_KEEP_ALIVE.probes, MAX_PROBES),
  };
}

function clampKeepAlive(ms: number): number {
  return Math.min(Math.max(ms, MIN_KEEP_ALIVE_MS), MAX_KEEP_ALIVE_MS);
}

/** Zero and negative numbers mean the default, which is no limit. */
function limit(value: number | undefined): number {
  return value === undefined || value <= 0 ? Infinity : value;
}
