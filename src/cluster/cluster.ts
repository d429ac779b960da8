import { isDeepStrictEqual } from "node:util";
import type { ClusterSpec } from "../config/snapshot.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ClusterMetrics, ConnectionKind } from "./cluster-metrics.ts";
import { isMeshTls } from "../upstream/transport-tls.ts";
import { type Acquisition, afterFirstAnswer } from "./awaited.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import { clusterState, type ClusterState } from "./cluster-state.ts";
import { ClusterTls } from "./cluster-tls.ts";
import { Dialler } from "./dialler.ts";
import { DnsEndpoints } from "./dns-endpoints.ts";
import type { LookupOutcome } from "./dns-names.ts";
import type { Endpoint } from "./endpoint.ts";
import { EndpointPools } from "./endpoint-pools.ts";
import { EndpointSet } from "./endpoint-set.ts";
import { Limits } from "./limits.ts";
import { OriginalDestinations } from "./original-destinations.ts";
import { OutlierDetector, type OutlierEvent } from "./outlier-detector.ts";
import type { PoolOwner } from "./pool-owner.ts";
import { refusalError } from "./refusal-error.ts";
import { RequestHasher } from "./request-hash.ts";
import { RequestLease, type LeaseReceiver } from "./request-lease.ts";
import { RetryBudget } from "./retry-budget.ts";
import type { SharedCounts } from "./shared-counts.ts";
import { TcpDial, type TcpReceiver } from "./tcp-dial.ts";
import { TcpLease } from "./tcp-lease.ts";

/** What a request or an opaque connection wants of a cluster. */
interface EndpointRequest {
  /** The address the downstream dialled; used by clusters of kind `original-destination` only. */
  readonly originalDestination: SocketAddress | null;
  /** Endpoints that failed this request before; null or absent: none. */
  readonly excludedEndpoints?: ReadonlySet<Endpoint> | null;
  /** What a balancer that hashes goes by; null or absent: nothing. */
  readonly hash?: bigint | null;
  /** The request's host, where `wantsHost` says so: what TLS is verified against. */
  readonly host?: string | null;
}

/** What an opaque connection wants of a cluster. */
export interface TcpAcquireRequest extends EndpointRequest {
  /** ALPN to offer where TLS is spoken. */
  readonly alpn: readonly string[];
  /** The downstream connection, for servers that are told of it; absent: not known. */
  readonly origin?: { readonly source: SocketAddress; readonly destination: SocketAddress };
}

/** What an HTTP request wants of a cluster. */
export interface AcquireRequest extends EndpointRequest {
  /** What it is to be sent with; the hop to another Outrider carries HTTP/1.1 in its own way. */
  readonly protocol: "http1" | "http2";
  /** It may become a tunnel (an upgrade): never the hop, where HTTP/1.1 is asked for. */
  readonly isUpgrade?: boolean;
  /** Only a connection that has carried no request: for the replay of one that was lost to the keep-alive race. */
  readonly needsFreshConnection?: boolean;
}

export type { Acquisition } from "./awaited.ts";

const kindOfTcp = (): ConnectionKind => "tcp";
const NOTHING_UNDER_WAY: Acquisition = { cancel: () => {} };

/**
 * One upstream cluster and all that lives with it: endpoints and their health, the balancer, limits, pools, opaque
 * connections. It takes every new snapshot of itself and keeps whatever the snapshot did not change.
 */
export class Cluster implements PoolOwner {
  readonly parts: ClusterParts;
  readonly metrics: ClusterMetrics;
  readonly limits: Limits;
  readonly dialler: Dialler;
  #spec: ClusterSpec;
  /** Null where every endpoint is an address. */
  #dns: DnsEndpoints | null = null;
  /** What the names came to when the endpoints were last made of them. */
  #resolved: ClusterSpec["endpoints"] = [];
  readonly #endpoints: EndpointSet;
  readonly #originals: OriginalDestinations;
  readonly #outliers: OutlierDetector;
  readonly #pools: EndpointPools;
  readonly #tls: ClusterTls;
  readonly #tcp = new Set<TcpLease>();
  readonly #retryBudget: RetryBudget;
  #hasher: RequestHasher | null;
  #isDraining = false;
  #isClosed = false;

  constructor(spec: ClusterSpec, parts: ClusterParts) {
    this.#spec = spec;
    this.#hasher = hasherOf(spec);
    this.parts = parts;
    this.metrics = parts.metrics(spec.name);
    this.limits = new Limits(spec.limits, this.metrics, sharedCountsOf(spec, parts));
    this.#retryBudget = new RetryBudget(spec.limits.retryBudget);
    this.#endpoints = new EndpointSet(parts, this.metrics);
    this.#pools = new EndpointPools(this);
    this.#tls = new ClusterTls(this.#pools, parts.openMultiplexed !== undefined);
    this.#originals = new OriginalDestinations(parts.timers, (endpoint) => this.#pools.retire(endpoint));
    this.#outliers = new OutlierDetector(spec.name, spec.outlierDetection, this.#endpoints, this.metrics, parts);
    this.dialler = new Dialler(this.limits, this.metrics, (endpoint, error) => {
      this.reportFailure(endpoint, error.code === "connect_timeout");
    }, parts);
    this.#tls.apply(spec);
    this.#useNames(spec);
    this.#applyEndpoints();
  }

  /** As the newest snapshot says. */
  get spec(): ClusterSpec {
    return this.#spec;
  }

  /** True when nothing is open, waiting or under way. */
  get isIdle(): boolean {
    return this.limits.connections.count + this.limits.pending.count + this.limits.requests.count === 0;
  }

  /** What of a request its balancer hashes; null: nothing. */
  get hasher(): RequestHasher | null {
    return this.#hasher;
  }

  /** The host of a request is part of what TLS says and verifies. */
  get wantsHost(): boolean {
    return this.#tls.wantsHost;
  }

  /** The endpoints known now. */
  get endpoints(): readonly Endpoint[] {
    return this.#spec.kind === "endpoints" ? this.#endpoints.endpoints : this.#originals.endpoints;
  }

  /**
   * Takes a new version of its spec (same name and kind). Endpoints that stay keep their counts, health and connections;
   * of those that left, or that now speak another TLS, idle connections close and requests under way finish.
   */
  apply(spec: ClusterSpec): void {
    const old = this.#spec;
    this.#spec = spec;
    this.#hasher = hasherOf(spec);
    this.limits.apply(spec.limits, sharedCountsOf(spec, this.parts));
    this.#retryBudget.apply(spec.limits.retryBudget);
    this.#tls.apply(spec);
    this.#useNames(spec);
    this.#applyEndpoints();
    if (!areConnectionsAlike(old, spec)) this.#pools.retireAll();
    this.#tls.retireOthers(this.endpoints);
    this.#outliers.apply(spec.outlierDetection);
  }

  /**
   * Gets a connection for one HTTP request. `receiver` is told once, within this call when an idle connection exists or
   * when it fails at once: `no_healthy_upstream`, `tls_refused`, `overflow`, `connect_failure`, `connect_timeout`, `tls_failure`.
   */
  acquire(request: AcquireRequest, receiver: LeaseReceiver): Acquisition {
    const endpoint = this.#pick(request, request.excludedEndpoints ?? null);
    if (endpoint === null) {
      const waiting = afterFirstAnswer(this.#dns, () => this.acquire(request, receiver));
      if (waiting === null) receiver.failed(this.#nothingToPick(), null);
      return waiting ?? NOTHING_UNDER_WAY;
    }
    const tls = this.#tls.of(endpoint, request.host ?? null);
    const pool = this.#pools.of(endpoint, tls, this.#tls.offerFor(request, tls));
    const lease = new RequestLease(pool, endpoint, receiver, request.needsFreshConnection ?? false);
    pool.acquire(lease);
    // What is served from now on is served, and its connection not kept.
    if (this.#isDraining) this.#pools.retire(endpoint);
    return lease;
  }

  /**
   * Dials an endpoint for an opaque connection. A failed connect is tried on other endpoints, since no byte was sent.
   * Errors as for `acquire`.
   */
  connectTcp(request: TcpAcquireRequest, receiver: TcpReceiver): Acquisition {
    return afterFirstAnswer(this.#dns, () => this.#dialTcp(request, receiver)) ?? this.#dialTcp(request, receiver);
  }

  #dialTcp(request: TcpAcquireRequest, receiver: TcpReceiver): Acquisition {
    const dial = new TcpDial({
      maxAttempts: this.#spec.kind === "endpoints" ? 3 : 1,
      pick: (excluded) => this.#pick(request, excluded),
      nothingToPick: () => this.#nothingToPick(),
      reserve: () => this.limits.connections.tryAdd(),
      connect: (endpoint, done) => {
        const tls = this.#tls.of(endpoint, null);
        return this.dialler.connect(endpoint, this.#spec, tls, isMeshTls(tls) ? request.alpn : [], kindOfTcp, done, request.origin ?? null);
      },
      connected: (endpoint, socket, facts) => {
        const lease = new TcpLease(endpoint, socket, facts, this.parts.clock.monotonicMs(), (over, isByPeer) => this.#tcpEnded(over, isByPeer));
        this.#tcp.add(lease);
        endpoint.totalRequests++;
        if (this.#spec.kind === "endpoints") this.#outliers.reportConnected(endpoint);
        return lease;
      },
      overflow: () => {
        this.metrics.connectionOverflow();
        return new ProxyError("overflow", "too many connections");
      },
    }, request.excludedEndpoints ?? null, receiver);
    dial.start();
    return dial;
  }

  /** A request for it began, at this moment of the monotonic clock: what its retries are measured by. */
  requestBegan(nowMs: number): void {
    this.#retryBudget.requested(nowMs);
  }

  /**
   * True when one more retry may run (`maxRetries`, and the budget); `endRetry` must follow. `wasSent`: the attempt before may
   * have reached its endpoint.
   */
  tryBeginRetry(wasSent: boolean): boolean {
    const { pending, requests, retries } = this.limits;
    if (this.#retryBudget.tryRetry(this.parts.clock.monotonicMs(), wasSent, retries.count, pending.count + requests.count) && retries.tryAdd()) return true;
    this.metrics.retryOverflow();
    return false;
  }

  endRetry(): void {
    this.limits.retries.remove();
  }

  /** An answer of `endpoint` towards outlier detection. */
  report(endpoint: Endpoint, status: number): void {
    // An original destination has no other endpoint to fall back on: it is the last healthy one, never ejected.
    if (this.#spec.kind === "endpoints") this.#outliers.report(endpoint, status);
  }

  /** `endpoint` could not be connected to, or did not answer, towards outlier detection. */
  reportFailure(endpoint: Endpoint, isTimeout: boolean): void {
    if (this.#spec.kind === "endpoints") this.#outliers.reportFailure(endpoint, isTimeout);
  }

  /** What another data thread did with an endpoint of this cluster. */
  heardOutlier(event: OutlierEvent): void {
    this.#outliers.heard(event);
  }

  /** Endpoints that active health checks speak against, `address:port`; the others are not, or not any more. */
  setFailing(names: ReadonlySet<string>): void {
    this.#endpoints.setFailing(names);
  }

  /** Closes idle connections made under an older identity or trust; those with a request close after it. */
  closeStale(): void {
    this.#pools.closeStale();
  }

  /** Closes idle connections, and the others as they become idle. Requests are still served, on new connections. */
  drain(): void {
    this.#isDraining = true;
    this.#dns?.stop();
    this.#originals.clear();
    this.#pools.retireAll();
    this.#outliers.stop();
    this.#endpoints.stop();
  }

  /** Another cluster may take over the name: drained, and counted for itself from now on. */
  leave(): void {
    this.limits.apply(this.#spec.limits, null);
    this.drain();
  }

  /** Cuts every connection. Whoever waits or asks from now on is refused. */
  closeAll(): void {
    this.#isClosed = true;
    const error = new ProxyError("no_healthy_upstream", "the cluster is closed");
    this.drain();
    this.#pools.closeAll(error);
    this.dialler.cancelAll(error);
    for (const lease of this.#tcp) lease.destroy();
  }

  /** Plain data for `/clusters?format=json`. */
  state(): ClusterState {
    return clusterState({
      spec: this.#spec,
      limits: this.limits,
      endpoints: this.endpoints,
      isPanicking: this.#endpoints.isPanicking,
      pools: Map.groupBy(this.#pools.all(), (pool) => pool.endpoint),
      tcp: Map.groupBy(this.#tcp, (lease) => lease.endpoint),
      ejectedForMs: (endpoint) => {
        const untilMs = this.#outliers.ejectedUntilMs(endpoint);
        return untilMs === null ? null : Math.max(0, untilMs - this.parts.clock.monotonicMs());
      },
    });
  }

  #pick(request: EndpointRequest, excluded: ReadonlySet<Endpoint> | null): Endpoint | null {
    if (this.#isClosed) return null;
    if (this.#spec.kind === "endpoints") return this.#endpoints.pick(excluded, request.hash ?? null);
    return request.originalDestination === null ? null : this.#originals.at(request.originalDestination);
  }

  #nothingToPick(): ProxyError {
    const { refusal } = this.#spec;
    if (refusal !== undefined && !this.#isClosed) return refusalError(refusal);
    this.metrics.noneHealthy();
    const { length } = this.endpoints;
    if (this.#isClosed) return new ProxyError("no_healthy_upstream", `${this.#spec.name} is closed`);
    const unresolved = this.#dns?.problem ?? "";
    if (unresolved !== "") return new ProxyError("no_healthy_upstream", `${this.#spec.name} has no address: ${unresolved}`);
    return new ProxyError("no_healthy_upstream", `${this.#spec.name} has ${length} endpoints, none of them healthy`);
  }

  #applyEndpoints(): void {
    const dns = this.#dns;
    const endpoints = dns === null ? this.#spec.endpoints : dns.endpoints;
    for (const endpoint of this.#endpoints.apply(dns === null ? this.#spec : { ...this.#spec, endpoints })) this.#pools.retire(endpoint);
    this.#originals.apply(endpoints, this.#spec.tls !== null);
    this.#resolved = endpoints;
    if (dns !== null) this.#redirectDials(dns);
  }

  #onLookup(outcome: LookupOutcome): void {
    const dns = this.#dns;
    this.metrics.nameLookedUp?.(outcome);
    if (dns === null) return;
    // A picker is not cheap to make, and most answers are those of before.
    if (dns.endpoints === this.#resolved) this.#redirectDials(dns);
    else this.#applyEndpoints();
  }

  #redirectDials(dns: DnsEndpoints): void {
    for (const endpoint of this.#endpoints.endpoints) endpoint.dialAddress = dns.addressOf(endpoint.address);
  }

  #useNames({ dns, endpoints }: ClusterSpec): void {
    const { names } = this.parts;
    if (dns === undefined || names === undefined) {
      this.#dns?.stop();
      this.#dns = null;
      return;
    }
    this.#dns ??= new DnsEndpoints(dns, names, this.parts.timers, (outcome) => this.#onLookup(outcome));
    this.#dns.apply(dns, endpoints);
  }

  #tcpEnded(lease: TcpLease, isByPeer: boolean): void {
    this.#tcp.delete(lease);
    lease.endpoint.activeRequests--;
    this.dialler.closed(isByPeer, true, lease.openedAtMs);
  }
}

function hasherOf({ hash }: ClusterSpec): RequestHasher | null {
  return hash === undefined ? null : new RequestHasher(hash.key);
}

/** Whether connections that were made by one spec serve the other as well. */
function areConnectionsAlike(one: ClusterSpec, other: ClusterSpec): boolean {
  const of = ({ fromLoopbackSource, protocol, hop, http2KeepAlive, limits: { tcpKeepAlive, maxConnectionDurationMs } }: ClusterSpec): unknown =>
    [fromLoopbackSource, protocol, hop, http2KeepAlive, tcpKeepAlive, maxConnectionDurationMs];
  return isDeepStrictEqual(of(one), of(other));
}

function sharedCountsOf(spec: ClusterSpec, { sharedCounts }: ClusterParts): SharedCounts | null {
  return sharedCounts === undefined ? null : sharedCounts(spec.name);
}
