import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { LimitsSpec } from "../snapshot.ts";

/** Istio's idle time-out of upstream connections, HTTP and opaque. */
const DEFAULT_IDLE_MS = 3_600_000;

/** The limits of a cluster from its connection pool, or the defaults (spec/04 4.3). */
export function compileLimits(pool: ConnectionPool | undefined, connectTimeoutMs: number): LimitsSpec {
  const tcp = pool?.tcp;
  const http = pool?.http;
  return {
    connectTimeoutMs: tcp?.connectTimeout ?? connectTimeoutMs,
    idleTimeoutMs: http?.idleTimeout ?? tcp?.idleTimeout ?? DEFAULT_IDLE_MS,
    tcpIdleTimeoutMs: tcp?.idleTimeout ?? DEFAULT_IDLE_MS,
    maxConnections: limit(tcp?.maxConnections),
    maxPendingRequests: limit(http?.http1MaxPendingRequests),
    maxRequests: limit(http?.http2MaxRequests),
    maxRetries: limit(http?.maxRetries),
    maxRequestsPerConnection: limit(http?.maxRequestsPerConnection),
    maxConcurrentStreams: limit(http?.maxConcurrentStreams),
    ...(tcp?.maxConnectionDuration === undefined ? {} : { maxConnectionDurationMs: tcp.maxConnectionDuration }),
  };
}

/** Zero and negative numbers mean the default, which is no limit. */
function limit(value: number | undefined): number {
  return value === undefined || value <= 0 ? Infinity : value;
}
