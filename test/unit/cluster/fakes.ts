import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import type { Clock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import type { ClusterSpec, EndpointSpec, LimitsSpec, OutlierSpec } from "../../../src/config/snapshot.ts";
import { Clusters } from "../../../src/cluster/clusters.ts";
import type { Cluster, AcquireRequest } from "../../../src/cluster/cluster.ts";
import { type ClusterMetrics, NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import type { ClusterParts } from "../../../src/cluster/cluster-parts.ts";
import type { PooledClient } from "../../../src/cluster/dial.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import type { OutlierEvent } from "../../../src/cluster/outlier-detector.ts";
import type { LeaseReceiver, RequestLease } from "../../../src/cluster/request-lease.ts";
import type { SharingLimits } from "../../../src/cluster/shared-connections.ts";
import type { SharedCounts } from "../../../src/cluster/shared-counts.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError, type ProxyErrorCode } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamConnectionOwner, UpstreamStream } from "../../../src/message/stream.ts";
import type { WorkloadLabels } from "../../../src/message/workload-labels.ts";
import type { ConnectDone, ConnectTarget } from "../../../src/upstream/connector.ts";
import { seededRandom } from "../../contract/load-balancer.ts";
import { FakeMultiplexed } from "./fake-multiplexed.ts";

/** A clock that stands still until it is moved; its wheel fires on the way. */
export class ManualTime implements Clock {
  nowMs = 1_000;
  readonly timers = new TimerWheel(this, { isDriven: true });

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  pass(ms: number): void {
    const end = this.nowMs + ms;
    while (this.nowMs < end) {
      this.nowMs = Math.min(end, this.nowMs + 500);
      this.timers.advance();
    }
  }
}

/** A dial that the test ends. */
export class FakeDial {
  isCancelled = false;
  readonly target: ConnectTarget;
  readonly #done: ConnectDone;
  readonly #generation: number;

  constructor(target: ConnectTarget, done: ConnectDone, generation: number) {
    this.target = target;
    this.#done = done;
    this.#generation = generation;
  }

  get name(): string {
    return `${this.target.address}:${this.target.port}`;
  }

  cancel(): void {
    this.isCancelled = true;
  }

  /** `alpn`: what the handshake agreed on. */
  succeed(alpn: string | null = null): FakeSocket {
    const socket = new FakeSocket();
    const address = { address: this.target.address, port: this.target.port };
    const peerSpiffeId = this.target.tls === null ? null : "spiffe://cluster.local/ns/default/sa/reviews";
    this.#done(null, socket as unknown as Socket, { local: address, remote: address, peerSpiffeId, alpn, generation: this.#generation });
    return socket;
  }

  fail(code: ProxyErrorCode = "connect_failure"): void {
    this.#done(new ProxyError(code, "refused by the test"), null, null);
  }
}

export class FakeSocket extends EventEmitter {
  isDestroyed = false;

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.emit("close");
  }
}

/** A client that keeps the rules of the codec seam and does what the test says. */
export class FakeClient implements PooledClient {
  isReused = false;
  idleLimitMs: number | null = null;
  isOpen = true;
  isRetired = false;
  receiver: ResponseReceiver | null = null;
  requests = 0;
  readonly owner: UpstreamConnectionOwner;

  constructor(owner: UpstreamConnectionOwner) {
    this.owner = owner;
  }

  request(_head: RequestHead, _end: boolean, receiver: ResponseReceiver): UpstreamStream {
    if (this.receiver !== null) throw new Error("two requests on one connection");
    if (!this.isOpen) throw new Error("a request on a closed connection");
    this.receiver = receiver;
    this.requests++;
    return { write: () => true, end: () => {}, reset: () => this.#cut(), pause: () => {}, resume: () => {} };
  }

  /** Given up from our side: its receiver hears nothing. */
  #cut(): void {
    this.receiver = null;
    this.close();
  }

  /** The response is complete. */
  finish(status = 200): void {
    const receiver = this.receiver;
    this.receiver = null;
    this.isReused = true;
    receiver?.head(new ResponseHead(status, "OK", new HeaderList(), 0), true);
    if (this.isRetired) this.close();
    else this.owner.idle(this);
  }

  /** The socket is closed, by the peer or by `destroy`. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    const receiver = this.receiver;
    this.receiver = null;
    receiver?.reset(new ProxyError("upstream_disconnect", "", { onReusedConnection: this.isReused }));
    this.owner.closed(this);
  }

  retire(): void {
    this.isRetired = true;
    if (this.receiver === null) this.close();
  }

  destroy(): void {
    this.close();
  }
}

/** One request as the router would make it; sends as soon as it has a connection. */
export class FakeRequest implements LeaseReceiver, ResponseReceiver {
  lease: RequestLease | null = null;
  endpoint: Endpoint | null = null;
  error: ProxyError | null = null;
  stream: UpstreamStream | null = null;
  status = 0;
  told = 0;
  sendsAtOnce = true;
  onFailed: (() => void) | null = null;
  onReset: (() => void) | null = null;
  cancel: () => void = () => {};

  get isWaiting(): boolean {
    return this.told === 0;
  }

  ready(connection: UpstreamConnection, lease: RequestLease): void {
    this.told++;
    this.lease = lease;
    this.endpoint = lease.endpoint;
    const head = new RequestHead("GET", "reviews", "/", new HeaderList());
    if (this.sendsAtOnce) this.stream = connection.request(head, true, this);
  }

  failed(error: ProxyError, endpoint: Endpoint | null): void {
    this.told++;
    this.error = error;
    this.endpoint = endpoint;
    this.onFailed?.();
  }

  head(head: ResponseHead): void {
    this.status = head.status;
    this.lease?.reportStatus(head.status);
    this.lease?.release();
  }

  reset(error: ProxyError): void {
    this.error = error;
    this.lease?.reportReset(error);
    this.lease?.release();
    this.onReset?.();
  }

  informational(): void {}
  data(): void {}
  end(): void {}
  drain(): void {}
}

const LABELS: WorkloadLabels = {
  workload: "reviews", namespace: "default", canonicalService: "reviews", canonicalRevision: "v1", app: "reviews", version: "v1", cluster: "Kubernetes",
};

export const NO_LIMITS: LimitsSpec = {
  connectTimeoutMs: 10_000, idleTimeoutMs: 3_600_000, maxConnections: Number.POSITIVE_INFINITY, maxPendingRequests: Number.POSITIVE_INFINITY,
  maxRequests: Number.POSITIVE_INFINITY, maxRetries: Number.POSITIVE_INFINITY, maxRequestsPerConnection: Number.POSITIVE_INFINITY,
  maxConcurrentStreams: Number.POSITIVE_INFINITY,
  tcpIdleTimeoutMs: 3_600_000,
};

export const OUTLIERS: OutlierSpec = {
  consecutive5xx: 5, consecutiveGatewayErrors: 0, intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionPercent: 50, minHealthPercent: 0,
};

export function endpointSpec(address: string, changes: Partial<EndpointSpec> = {}): EndpointSpec {
  return { address, port: 9080, weight: 1, isHealthy: true, isMeshTls: false, labels: LABELS, ...changes };
}

export function clusterSpec(addresses: readonly string[], changes: Partial<ClusterSpec> = {}): ClusterSpec {
  return {
    name: "outbound|9080||reviews.default.svc.cluster.local",
    kind: "endpoints",
    service: null,
    endpoints: addresses.map((address) => endpointSpec(address)),
    loadBalancer: "ROUND_ROBIN",
    limits: NO_LIMITS,
    outlierDetection: null,
    tls: null,
    fromLoopbackSource: false,
    protocol: "http1",
    hop: false,
    http2KeepAlive: null,
    ...changes,
  };
}

/** What happened, by the name of the metric's method, and by it and its first argument where that is a word. */
export function countingMetrics(counts: Map<string, number>): ClusterMetrics {
  const add = (name: string): unknown => counts.set(name, (counts.get(name) ?? 0) + 1);
  const count = (name: string) => (first?: unknown): void => {
    add(name);
    if (typeof first === "string") add(`${name} ${first}`);
  };
  return Object.fromEntries(Object.keys(NO_CLUSTER_METRICS).map((name) => [name, count(name)])) as unknown as ClusterMetrics;
}

/** Clusters on a fake network, with one cluster to play with. */
export class FakeMesh {
  readonly time = new ManualTime();
  readonly dials: FakeDial[] = [];
  readonly clients: FakeClient[] = [];
  readonly shared: FakeMultiplexed[] = [];
  readonly events: OutlierEvent[] = [];
  readonly counts = new Map<string, number>();
  generation = 1;
  /** True: every dial succeeds at once. */
  connectsAtOnce = false;
  /** What their handshakes agree on. */
  alpn: string | null = null;
  /** True: connections are closed by their peer before their client is made. */
  closesAtOnce = false;
  /** What a multiplexed connection does as soon as it is made. */
  onOpened: (made: FakeMultiplexed) => void = () => {};
  readonly clusters: Clusters;

  constructor(spec: ClusterSpec, options: { hasMultiplexing?: boolean; sharing?: SharingLimits; sharedCounts?: () => SharedCounts } = {}) {
    const parts: ClusterParts = {
      clock: this.time,
      timers: this.time.timers,
      random: seededRandom(42),
      dial: (target, done) => {
        const dial = new FakeDial(target, done, this.generation);
        this.dials.push(dial);
        if (this.connectsAtOnce) dial.succeed(this.alpn);
        return dial;
      },
      openClient: (_socket, _facts, owner) => {
        const client = new FakeClient(owner);
        if (this.closesAtOnce) client.close();
        this.clients.push(client);
        return client;
      },
      ...(options.hasMultiplexing === false ? {} : {
        openMultiplexed: (_socket, _facts, owner, wanted) => {
          const made = new FakeMultiplexed(owner, wanted);
          this.onOpened(made);
          this.shared.push(made);
          return made;
        },
      }),
      ...(options.sharing === undefined ? {} : { sharing: options.sharing }),
      ...(options.sharedCounts === undefined ? {} : { sharedCounts: options.sharedCounts }),
      tlsGeneration: () => this.generation,
      metrics: () => countingMetrics(this.counts),
      outliers: { outlier: (event) => this.events.push(event) },
    };
    this.clusters = new Clusters(parts);
    this.clusters.apply([spec]);
  }

  get cluster(): Cluster {
    const name = this.clusters.state()[0]?.name ?? "";
    return this.clusters.get(name) as Cluster;
  }

  acquire(changes: Partial<AcquireRequest> = {}, request = new FakeRequest()): FakeRequest {
    const acquisition = this.cluster.acquire({ originalDestination: null, protocol: "http1", excludedEndpoints: null, ...changes }, request);
    request.cancel = () => acquisition.cancel();
    return request;
  }

  client(index: number): FakeClient {
    return this.clients[index] as FakeClient;
  }

  mux(index: number): FakeMultiplexed {
    return this.shared[index] as FakeMultiplexed;
  }

  dial(index: number): FakeDial {
    return this.dials[index] as FakeDial;
  }

  count(name: keyof ClusterMetrics): number {
    return this.counts.get(name) ?? 0;
  }

  /** Everything that must be zero when nothing is under way. */
  leftovers(): unknown {
    const { limits, endpoints } = this.cluster.state();
    return {
      pending: limits.pendingRequests.count,
      requests: limits.requests.count,
      active: endpoints.reduce((sum, endpoint) => sum + endpoint.activeRequests, 0),
      waiting: endpoints.reduce((sum, endpoint) => sum + endpoint.waitingRequests, 0),
    };
  }
}

export const NOTHING_LEFT = { pending: 0, requests: 0, active: 0, waiting: 0 };
