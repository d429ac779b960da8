import type { ClusterSpec } from "../config/snapshot.ts";
import { NO_CLUSTER_METRICS } from "./cluster-metrics.ts";
import { Endpoint } from "./endpoint.ts";
import type { HttpPool } from "./http-pool.ts";
import { Limits } from "./limits.ts";
import { priorityLevels } from "./priority-levels.ts";

/** A count and what it may reach; `max` null is no limit. */
export interface CountState {
  readonly count: number;
  readonly max: number | null;
}

/** One endpoint as an operator sees it. */
export interface EndpointState {
  readonly address: string;
  readonly weight: number;
  /** 0 is the first choice. */
  readonly priority: number;
  /** `region/zone/subzone`; empty: not known. */
  readonly locality: string;
  /** As its source says. */
  readonly isHealthy: boolean;
  /** By active health checks. */
  readonly isFailingChecks: boolean;
  readonly isEjected: boolean;
  /** Milliseconds until it may be restored, at a sweep; null when it is not ejected. */
  readonly ejectedForMs: number | null;
  readonly ejections: number;
  readonly consecutive5xx: number;
  readonly consecutiveGatewayErrors: number;
  readonly consecutiveLocalFailures: number;
  readonly isMeshTls: boolean;
  readonly activeRequests: number;
  readonly totalRequests: number;
  readonly connectFailures: number;
  /** `multiplexed` of the busy and idle ones carry any number of requests. */
  readonly connections: {
    readonly busy: number;
    readonly idle: number;
    readonly dialling: number;
    readonly tcp: number;
    readonly multiplexed: number;
  };
  readonly waitingRequests: number;
}

/** One cluster as an operator sees it. */
export interface ClusterState {
  readonly name: string;
  readonly kind: ClusterSpec["kind"];
  readonly loadBalancer: ClusterSpec["loadBalancer"];
  /** Fewer endpoints are healthy than `minHealthPercent` asks: all are used. */
  readonly isPanicking: boolean;
  readonly limits: {
    readonly connections: CountState;
    readonly pendingRequests: CountState;
    readonly requests: CountState;
    readonly retries: CountState;
  };
  readonly endpoints: readonly EndpointState[];
}

/** The living parts that a state is read from. */
export interface ClusterView {
  readonly spec: ClusterSpec;
  readonly limits: Limits;
  readonly endpoints: readonly Endpoint[];
  readonly isPanicking: boolean;
  readonly pools: ReadonlyMap<Endpoint, readonly HttpPool[]>;
  readonly tcp: ReadonlyMap<Endpoint, readonly unknown[]>;
  ejectedForMs(endpoint: Endpoint): number | null;
}

/** Reads the state of a cluster: plain data that JSON can write. */
export function clusterState(view: ClusterView): ClusterState {
  const { spec, limits } = view;
  return {
    name: spec.name,
    kind: spec.kind,
    loadBalancer: spec.loadBalancer,
    isPanicking: view.isPanicking,
    limits: {
      connections: countState(limits.connections.count, spec.limits.maxConnections),
      pendingRequests: countState(limits.pending.count, spec.limits.maxPendingRequests),
      requests: countState(limits.requests.count, spec.limits.maxRequests),
      retries: countState(limits.retries.count, spec.limits.maxRetries),
    },
    endpoints: view.endpoints.map((endpoint) => endpointState(endpoint, view)),
  };
}

/** The state of a cluster that nothing was ever sent to. */
export function unusedClusterState(spec: ClusterSpec, failing?: ReadonlySet<string>): ClusterState {
  const byName = new Map<string, Endpoint>();
  for (const each of spec.kind === "endpoints" ? spec.endpoints : []) {
    const endpoint = new Endpoint(each, 0);
    endpoint.isFailingChecks = failing !== undefined && failing.has(endpoint.name);
    if (!byName.has(endpoint.name)) byName.set(endpoint.name, endpoint);
  }
  const endpoints = [...byName.values()];
  return clusterState({
    spec,
    limits: new Limits(spec.limits, NO_CLUSTER_METRICS),
    endpoints,
    isPanicking: priorityLevels(endpoints, spec.outlierDetection?.minHealthPercent ?? 0).some(({ isPanicking, load }) => isPanicking && load > 0),
    pools: new Map(),
    tcp: new Map(),
    ejectedForMs: () => null,
  });
}

function endpointState(endpoint: Endpoint, view: ClusterView): EndpointState {
  const pools = view.pools.get(endpoint) ?? [];
  const sum = (count: (pool: HttpPool) => number): number => pools.reduce((total, pool) => total + count(pool), 0);
  return {
    address: endpoint.name,
    weight: endpoint.weight,
    priority: endpoint.priority,
    locality: endpoint.locality,
    isHealthy: endpoint.spec.isHealthy,
    isFailingChecks: endpoint.isFailingChecks,
    isEjected: endpoint.isEjected,
    ejectedForMs: view.ejectedForMs(endpoint),
    ejections: endpoint.outlier.ejections,
    consecutive5xx: endpoint.outlier.consecutive5xx,
    consecutiveGatewayErrors: endpoint.outlier.consecutiveGatewayErrors,
    consecutiveLocalFailures: endpoint.outlier.consecutiveLocalFailures,
    isMeshTls: endpoint.spec.isMeshTls,
    activeRequests: endpoint.activeRequests,
    totalRequests: endpoint.totalRequests,
    connectFailures: endpoint.connectFailures,
    connections: {
      busy: sum((pool) => pool.busyCount),
      idle: sum((pool) => pool.idleCount),
      dialling: sum((pool) => pool.diallingCount),
      tcp: view.tcp.get(endpoint)?.length ?? 0,
      multiplexed: sum((pool) => pool.multiplexedCount),
    },
    waitingRequests: sum((pool) => pool.waitingCount),
  };
}

function countState(count: number, max: number): CountState {
  return { count, max: Number.isFinite(max) ? max : null };
}
