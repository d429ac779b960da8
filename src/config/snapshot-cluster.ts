/*
 * How the endpoints of a cluster are chosen and watched over, beyond the basics in `snapshot.ts` (`spec/04`). Part of the
 * snapshot: plain data. Whatever is absent or null is off.
 */

/** `spec/04` 4.2. */
export type LoadBalancerName = "ROUND_ROBIN" | "LEAST_REQUEST" | "RANDOM" | "RING_HASH" | "MAGLEV" | "PEAK_EWMA";

/** Consistent hashing: what is hashed, and the table of the balancers `RING_HASH` and `MAGLEV`. */
export interface HashSpec {
  readonly key: HashKeySpec;
  /** Ring: points at least, of all hosts together. */
  readonly minimumRingSize: number;
  /** Maglev: a prime. */
  readonly tableSize: number;
}

export type HashKeySpec =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "source-ip" }
  | {
    readonly kind: "cookie";
    readonly name: string;
    readonly path: string;
    /** Null: a missing cookie is not made; 0: one for the session. */
    readonly ttlSeconds: number | null;
    /** Appended to `Set-Cookie`, in their order. */
    readonly attributes: readonly { readonly name: string; readonly value: string }[];
  };

/** Slow start of endpoints that were added later: `spec/04` 4.2 "warmup". */
export interface WarmupSpec {
  readonly durationMs: number;
  readonly aggression: number;
  readonly minimumPercent: number;
}

/** How localities share requests (`spec/04` 4.6); priorities are on the endpoints. */
export type LocalitySpec = LocalityWeightsSpec | { readonly zoneAware: ZoneAwareSpec };

/** `distribute`. */
export interface LocalityWeightsSpec {
  /** Share of each locality, by `region/zone/subzone`; those not named get nothing. */
  readonly weights: readonly { readonly locality: string; readonly weight: number }[];
}

/** `zoneAwareLbSetting`: shares follow from where the endpoints are and where those who call them. */
export interface ZoneAwareSpec {
  /** `region/zone` of the workload. */
  readonly own: string;
  /** The workload and its like by `region/zone`. */
  readonly callers: readonly { readonly zone: string; readonly count: number }[];
  /** With fewer endpoints zones make no difference. */
  readonly minClusterSize: number;
}

/**
 * How many retries the requests of a cluster may cause.
 * - `rate`: of those of the last seconds, this percentage, or so many a second if that is more. What was certainly not sent
 *   does not count.
 * - `concurrency`: so many under way, by the requests under way or those of the last `intervalMs` (`spec/04` 4.3
 *   "retryBudget"); in place of `maxRetries`.
 * - `none`: as many as policies ask for.
 */
export type RetryBudgetSpec =
  | { readonly kind: "rate"; readonly percent: number; readonly minPerSecond: number }
  | { readonly kind: "concurrency"; readonly percent: number; readonly minConcurrency: number; readonly intervalMs: number }
  | { readonly kind: "none" };

/** Endpoints are names: `STRICT_DNS` takes every address, `LOGICAL_DNS` the first for each new connection. */
export interface DnsSpec {
  readonly mode: "STRICT_DNS" | "LOGICAL_DNS";
  readonly family: DnsFamily;
  /** The longest wait after a failed lookup; answers are used for their time to live. */
  readonly refreshMs: number;
}

/** The addresses that are asked for: those the workload itself has. */
export type DnsFamily = "v4" | "v6" | "all";

/** Probes of our own: annotation `outrider.io/health-check` of a DestinationRule. */
export interface HealthCheckSpec {
  readonly protocol: "http" | "tcp" | "grpc";
  readonly path: string;
  /** The authority that is asked for. */
  readonly host: string;
  /** Of gRPC: the service that is asked about; empty: the server as a whole. */
  readonly service: string;
  /** Null: that of the endpoint. */
  readonly port: number | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** Status codes of HTTP that mean healthy: ranges, both ends included. */
  readonly expectedStatuses: readonly { readonly from: number; readonly to: number }[];
}

/**
 * TLS to servers outside of the mesh: `spec/04` 4.7, modes SIMPLE and MUTUAL. Files are named, not held: whoever makes the
 * connections reads them, so that no key is part of a snapshot.
 */
export interface OriginatedTlsSpec {
  readonly mode: "SIMPLE" | "MUTUAL";
  /** Null: the request's host for HTTP, `fallbackName` for what has none. */
  readonly serverName: string | null;
  /** Names one of which the certificate must have; empty: the server name. */
  readonly subjectAltNames: readonly string[];
  /** The service's host; null where it is a wildcard. */
  readonly fallbackName: string | null;
  /** Null: the system's authorities. */
  readonly caCertificatesPath: string | null;
  readonly crlPath: string | null;
  readonly clientCertificatePath: string | null;
  readonly privateKeyPath: string | null;
  /** Changes with the content of any of these files. */
  readonly filesDigest: string;
  readonly insecureSkipVerify: boolean;
}

/** CONNECT through a forward proxy, for TCP and TLS routes: `spec/04` 4.8. */
export interface TunnelSpec {
  readonly protocol: "CONNECT" | "POST";
  readonly targetHost: string;
  readonly targetPort: number;
}
