import type { LogLevel } from "../telemetry/log-record.ts";
import type { ServerState } from "../telemetry/server-metrics.ts";

/** Numbers and words of one endpoint, `cx_active`, `rq_total`, `health_flags`, ... as Envoy's `/clusters` names them. */
export type EndpointStatus = Readonly<Record<string, string | number | boolean>> & { readonly address: string };

/** A limit, by Envoy's name for it, and what is counted against it. */
export interface LimitStatus {
  readonly name: "max_connections" | "max_pending_requests" | "max_requests" | "max_retries";
  readonly count: number;
  readonly max: number;
}

/** Living state of one cluster over all data threads. */
export interface ClusterStatus {
  readonly name: string;
  /** Those that are set; absent: none. */
  readonly limits?: readonly LimitStatus[];
  readonly endpoints: readonly EndpointStatus[];
}

/**
 * What the pages ask of the rest of the process, as plain functions: `admin/` knows none of the parts behind them.
 * Those that give a promise must settle by themselves, also when a data thread does not answer.
 */
export interface AdminSources {
  readonly version: string;
  readonly concurrency: number;
  /** Who we are, for `/server_info`: any JSON value. */
  readonly node: unknown;
  uptimeSeconds(): number;
  state(): ServerState;
  isReady(): boolean;
  waitingFor(): readonly string[];
  /** Text exposition of all metrics. */
  metrics(): Promise<string>;
  /** The application's own exposition, for `/metrics`; null when it has none or does not answer. */
  applicationMetrics(): Promise<string | null>;
  /** The snapshot in force, null before the first. Must hold no secrets. */
  snapshot(): unknown;
  /** Every object: applied, shadowed or rejected, and why; what policies in dry run would have done. */
  configStatus(): unknown;
  /** Why something was denied, by the id that it was told; null when nobody knows. */
  denial(id: string): Promise<unknown>;
  clusters(): Promise<readonly ClusterStatus[]>;
  /** Our certificates and trust bundles; never a key. */
  certificates(): unknown;
  logLevel(): LogLevel;
  setLogLevel(level: LogLevel): void;
  /** Does what SIGTERM does. */
  quit(): void;
  /** Drains without an end. */
  drain(): void;
}
