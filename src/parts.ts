import type { Cluster } from "./cluster/cluster.ts";
import type { ClusterMetrics } from "./cluster/cluster-metrics.ts";
import type { ClusterState } from "./cluster/cluster-state.ts";
import type { DnsNames } from "./cluster/dns-names.ts";
import type { OutlierEvent, OutlierObserver } from "./cluster/outlier-detector.ts";
import type { SharedCounts } from "./cluster/shared-counts.ts";
import type { DetectionObserver } from "./connection/detection.ts";
import type { InboundRefusal } from "./connection/inbound-refusal.ts";
import type { TunnelAnswer } from "./connection/tunnel-socket.ts";
import type { Snapshot } from "./config/snapshot.ts";
import type { Clock } from "./core/clock.ts";
import type { DefectObserver } from "./core/defect.ts";
import type { Random } from "./core/random.ts";
import type { TimerWheel } from "./core/timer-wheel.ts";
import type { ExternalAuthorizationMetrics } from "./filter/ext-authz-metrics.ts";
import type { FilterMetrics } from "./filter/filter-metrics.ts";
import type { RateLimitParts } from "./filter/rate-limiters.ts";
import type { AuthorizationJournal } from "./filter/rbac-journal.ts";
import type { FetchedKeys } from "./filter/jwt-authn.ts";
import type { JwtOutcome } from "./filter/jwt-filter.ts";
import type { TlsIdentity } from "./identity/tls-identity.ts";
import type { ListenerObserver } from "./listener/listener.ts";
import type { OriginalDestination } from "./listener/original-destination.ts";
import type { StreamObserver, TcpObserver } from "./message/stream-info.ts";
import type { GaveUpRequests } from "./router/gave-up-requests.ts";
import type { Logger } from "./telemetry/log.ts";

/** How a data thread listens. */
export interface ListenOptions {
  /** Address of the capture listeners. */
  readonly address: string;
  /** 0: any free port. */
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Where ambient peers open HBONE tunnels; null: nowhere. */
  readonly hbonePort: number | null;
  /** More than one data thread shares the ports. */
  readonly reusePort: boolean;
  /** Connections open at the same time in one direction of one thread. */
  readonly maxConnections: number;
}

/** What both directions are made of, handed down by the composition root of the thread. */
export interface Parts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Logger;
  readonly identity: TlsIdentity;
  /** Trust domains of the snapshot in force. */
  readonly trustDomains: () => readonly string[];
  readonly originalDestination: OriginalDestination;
  readonly listen: ListenOptions;
  /** Connections are closed when the peer's certificate ends; absent: they go on, as Istio's do. */
  readonly closeExpired?: boolean;
  /** Ports of this process on loopback that nothing is led to. */
  readonly ownPorts: readonly number[];
  /** Told of every stream and opaque connection at its end. */
  readonly streamObservers: readonly StreamObserver[];
  readonly tcpObservers: readonly TcpObserver[];
  readonly listenerObserver: ListenerObserver;
  /** Addresses of endpoints that are names, for both directions. */
  readonly names: DnsNames;
  /** What is told of what AuthorizationPolicies decide. */
  readonly authorization: AuthorizationJournal;
  /** The counts of an external authorizer, by its name and that of its cluster. */
  readonly externalAuthorization: (provider: string, cluster: string) => ExternalAuthorizationMetrics;
  readonly clusterMetrics: (cluster: string) => ClusterMetrics;
  readonly outlierObserver: OutlierObserver;
  readonly rateLimits: RateLimitParts;
  readonly filterMetrics: (direction: "inbound" | "outbound") => FilterMetrics;
  readonly sharedCounts?: (cluster: string) => SharedCounts | null;
  /** Logs and counts a connection that was accepted and then refused. */
  readonly refused: (direction: "inbound" | "outbound", refusal: InboundRefusal) => void;
  /** Counts an outcome of protocol detection. */
  readonly countDetected: DetectionObserver;
  /** Counts a request that rules for tokens were asked about. */
  readonly countToken: (outcome: JwtOutcome) => void;
  /** A token asks for a key that a source's are not. */
  readonly keysMissing: (source: string) => void;
  /** Counts an HBONE tunnel that was asked for. */
  readonly countTunnel: (answer: TunnelAnswer) => void;
  readonly defect: DefectObserver;
  /** Of both directions: what failed in one tells why it fails in the other. */
  readonly gaveUp: GaveUpRequests;
}

/** One direction of the data plane, assembled. */
export interface Direction {
  /** Obeys a snapshot. Resolves with a line for every socket that could not be bound. */
  apply(snapshot: Snapshot): Promise<string[]>;
  /** Opens the capture listener; resolves with its port. */
  listen(): Promise<number>;
  /** Connections made under an older identity are not used for new requests. */
  identityChanged(): void;
  /** Finishes what is under way: responses close their connections. */
  drain(): void;
  /** Stops accepting. */
  stopAccepting(): void;
  /** Cuts everything. */
  destroy(): void;
  /** Streams and opaque connections under way. */
  activeCount(): number;
  /** Clusters and endpoints as they are now, plain data for `/clusters`. */
  clusterState(): readonly ClusterState[];
}

/** The direction whose endpoints are checked. */
export interface CheckedDirection extends Direction {
  /** Endpoints of a cluster, `address:port`, that active health checks speak against; all that are, each time. */
  applyHealth(cluster: string, failing: readonly string[]): void;
  /** What another data thread did with an endpoint. */
  heardOutlier(event: OutlierEvent): void;
  /** The cluster called so in the snapshot in force. */
  cluster(name: string): Cluster | undefined;
}

/** The direction that tunnels lead into. */
export interface TunnelledDirection extends Direction {
  /** The keys of all issuers, as they were last fetched. */
  useKeys(keys: FetchedKeys): void;
  /** Opens the listener for HBONE, if there is to be one; resolves with its port. */
  listenForTunnels(): Promise<number | null>;
}

/** Clusters towards our own application; `spec/00` 0.3. */
export function isInboundCluster(name: string): boolean {
  return name.startsWith("inbound|") || name === "InboundPassthroughCluster";
}
