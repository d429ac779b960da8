import type { StringMatchSpec } from "../core/string-match.ts";
import type { ServiceRef } from "../message/stream-info.ts";
import type { WorkloadLabels } from "../message/workload-labels.ts";
import type { DnsSpec, HashSpec, HealthCheckSpec, LoadBalancerName, LocalitySpec, OriginatedTlsSpec, RetryBudgetSpec, TunnelSpec, WarmupSpec } from "./snapshot-cluster.ts";
import type { JwtRuleSpec } from "./snapshot-jwt.ts";
import type { ChangesSpec, CorsSpec, FaultSpec, MirrorSpec, RateLimitSpec, RedirectSpec } from "./snapshot-route.ts";
import type { AuthorizationSpec, ExternalAuthorizerSpec, IngressTlsSpec, TrustSourceSpec } from "./snapshot-security.ts";

/*
 * What the data path obeys: the whole of the user's configuration compiled for this workload. Plain data, made by
 * `compile/`, posted to the data threads by structured clone, deep-frozen there. No functions, no classes, no Maps.
 * Equal parts of two snapshots are equal by value; the path keeps living state by cluster name and endpoint address.
 */

/** Where in the user's files something was written. */
export interface Provenance {
  /** `Kind namespace/name`. */
  readonly resource: string;
  /** Index of the rule inside the resource, null for the resource itself. */
  readonly rule: number | null;
  readonly file: string;
  /** 1-based line of the rule, or of the resource. */
  readonly line: number;
  /** The VirtualService that delegated to this rule; absent where the resource was in force by itself. */
  readonly delegatedBy?: string;
}

export interface Snapshot {
  /** Grows by one with every accepted generation. */
  readonly version: number;
  readonly workload: WorkloadSpec;
  readonly outbound: OutboundSpec;
  readonly inbound: InboundSpec;
  readonly clusters: readonly ClusterSpec[];
  /** `meshConfig.pathNormalization`, `spec/05` 5.6; default DECODE_AND_MERGE_SLASHES. */
  readonly pathNormalization: "NONE" | "BASE" | "MERGE_SLASHES" | "DECODE_AND_MERGE_SLASHES";
  /** Trust domains whose peers are accepted: our own first, then aliases. Those with a bundle of their own are accepted besides. */
  readonly trustDomains: readonly string[];
  /** Roots of trust beside the mounted ones; absent: none. */
  readonly trustSources?: readonly TrustSourceSpec[];
  /** `meshConfig.accessLogFile` asks for an access log on stdout. */
  readonly accessLog: boolean;
}

/** Who we are. */
export interface WorkloadSpec {
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly trustDomain: string;
  readonly addresses: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** `region/zone/subzone`; absent: not known. */
  readonly locality?: string;
  /** The same as metrics name it. */
  readonly metrics: WorkloadLabels;
}

/** A real socket that a Sidecar resource asks for (`captureMode: NONE`, or an ingress entry). */
export interface BindSpec {
  /** IP address; `0.0.0.0` or `::` for all. */
  readonly address: string;
  readonly port: number;
}

export interface OutboundSpec {
  /** Logical listeners, chosen by original destination: exact address and port first, then the port alone. */
  readonly listeners: readonly OutboundListenerSpec[];
  readonly routeTables: readonly RouteTableSpec[];
  /** What becomes of a destination no listener knows: PassthroughCluster, or nothing (REGISTRY_ONLY). */
  readonly catchAll: "ALLOW_ANY" | "REGISTRY_ONLY";
  /** With ALLOW_ANY: the cluster of a gateway that unknown destinations go to, in place of themselves. */
  readonly egressProxy?: string;
}

/**
 * - `http`: the first bytes are inspected; HTTP goes to `routeTable`, anything else to `tcp`, or to the catch-all.
 * - `tcp`: never inspected, but for the ClientHello where there are `tls` routes.
 * - `auto`: inspected; HTTP goes to `routeTable`, anything else to `tcp`.
 */
export type ProtocolSpec = "http" | "tcp" | "auto";

export interface OutboundListenerSpec {
  /** `0.0.0.0_9080`, `10.0.0.1_3306`: for logs and metrics. */
  readonly name: string;
  /** The original destination it stands for; `address` null is any address on that port. */
  readonly address: string | null;
  readonly port: number;
  /** Set when it is also a socket of its own. */
  readonly bind: BindSpec | null;
  readonly protocol: ProtocolSpec;
  /** Name of a route table, for `http` and `auto`. */
  readonly routeTable: string | null;
  /**
   * TLS that is passed through by the server name of its ClientHello, whatever `protocol` is. TLS without a server name,
   * or with one that none of them has, goes where opaque bytes go.
   */
  readonly tls: readonly SniRouteSpec[];
  /** Where opaque bytes go, one cluster drawn per connection; null: the catch-all. */
  readonly tcp: readonly WeightedClusterSpec[] | null;
  /** The VirtualService's rule that says so; absent where none does. */
  readonly tcpProvenance?: Provenance;
  /** Opaque bytes to some addresses go elsewhere than `tcp`. The narrowest block wins; of equal ones, the first. */
  readonly tcpBySubnet?: readonly TcpRouteSpec[];
}

/** Where opaque connections to some addresses go (`spec/03` 3.12). */
export interface TcpRouteSpec {
  /** CIDR blocks of the address that was dialled. */
  readonly destinationSubnets: readonly string[];
  /** The port is declared TCP for these addresses: whatever else shares the listener, neither HTTP nor TLS is looked for. */
  readonly isDeclared?: true;
  /** One is drawn per connection. */
  readonly clusters: readonly WeightedClusterSpec[];
  /** The VirtualService's rule; null for a service's own addresses. */
  readonly provenance: Provenance | null;
}

/** Where TLS for some server names goes (`spec/02` 2.5). The most specific name wins; of equal ones, the first. */
export interface SniRouteSpec {
  /** Lower case: exact, `*` with what names end in (`*.example.com`), or `*` for all, those without a name included. */
  readonly sniHosts: readonly string[];
  /**
   * CIDR blocks of the address that was dialled; absent: any address. The narrowest block that holds the address is asked
   * for the name first, then wider ones, routes for any address last.
   */
  readonly destinationSubnets?: readonly string[];
  /** One is drawn per connection. */
  readonly clusters: readonly WeightedClusterSpec[];
  /** The VirtualService's rule; null for a service's own name. */
  readonly provenance: Provenance | null;
}

export interface RouteTableSpec {
  /** The port (`9080`) or `host:port` of a listener with one service. */
  readonly name: string;
  readonly virtualHosts: readonly VirtualHostSpec[];
}

export interface VirtualHostSpec {
  readonly name: string;
  /** Lower-case host names without port: exact, `*.suffix`, or `*`. */
  readonly domains: readonly string[];
  readonly routes: readonly RouteSpec[];
}

/** One route: a condition and what to do. The first whose condition holds wins. */
export interface RouteSpec {
  /** `%ROUTE_NAME%`: `default`, or as the VirtualService names it; empty for an unnamed rule. */
  readonly name: string;
  readonly match: RouteMatchSpec;
  readonly action: RouteActionSpec;
  readonly provenance: Provenance | null;
  /** Its requests are counted under this name. */
  readonly statPrefix?: string;
  readonly fault?: FaultSpec;
  readonly cors?: CorsSpec;
  /** Of the response of whatever the route does, and of the request where it is forwarded. */
  readonly changes?: ChangesSpec;
  readonly rateLimits?: readonly RateLimitSpec[];
}

/** All conditions must hold. Absent ones are null or empty. */
export interface RouteMatchSpec {
  /** On the normalised path without query; never `suffix` or `present`. */
  readonly uri: StringMatchSpec | null;
  readonly method: StringMatchSpec | null;
  readonly authority: StringMatchSpec | null;
  readonly scheme: StringMatchSpec | null;
  readonly headers: readonly HeaderMatchSpec[];
  readonly withoutHeaders: readonly HeaderMatchSpec[];
  readonly queryParams: readonly HeaderMatchSpec[];
}

export interface HeaderMatchSpec {
  /** Lower-case header name; for a query parameter, its name. */
  readonly name: string;
  readonly match: StringMatchSpec;
}

export type RouteActionSpec = ForwardSpec | DirectResponseSpec | RedirectSpec;

export interface ForwardSpec {
  readonly kind: "forward";
  /** At least one; weights are positive and relative. */
  readonly clusters: readonly WeightedClusterSpec[];
  /** Whole exchange, from the end of the request; 0 is no limit. */
  readonly timeoutMs: number;
  /** Null: a failed attempt is final. */
  readonly retry: RetrySpec | null;
  /** A gRPC status in the trailers of an answer without messages counts as one in its head; absent: it does not. */
  readonly readsGrpcTrailers?: boolean;
  readonly mirrors?: readonly MirrorSpec[];
}

export interface DirectResponseSpec {
  readonly kind: "direct-response";
  readonly status: number;
  readonly body: string;
  /** Cluster name telemetry reports, `BlackHoleCluster` for REGISTRY_ONLY. */
  readonly clusterName: string | null;
}

export interface WeightedClusterSpec {
  readonly name: string;
  readonly weight: number;
  /** Made before those of the route, whose authority goes first. */
  readonly changes?: ChangesSpec;
}

/** `spec/03` 3.5 to 3.7. */
export interface RetrySpec {
  /** Further tries after the first. */
  readonly attempts: number;
  /** 0: no limit of its own. */
  readonly perTryTimeoutMs: number;
  readonly retryOn: readonly RetryCondition[];
  readonly retriableStatuses: readonly number[];
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /**
   * True when a VirtualService or the mesh wrote `retryOn` out: its owner decided, also for methods that are not
   * idempotent. False for the built-in policy, which repeats only what provably was not executed.
   */
  readonly isExplicit: boolean;
  /** False: a retry may go where the last attempt went (`retryIgnorePreviousHosts`). Absent: true. */
  readonly avoidsPreviousHosts?: boolean;
  /** Retries go to localities of other priorities than those tried. */
  readonly prefersRemoteLocalities?: boolean;
}

export type RetryCondition =
  | "5xx" | "gateway-error" | "reset" | "reset-before-request" | "connect-failure" | "refused-stream"
  | "retriable-4xx" | "retriable-status-codes" | "retriable-headers" | "envoy-ratelimited"
  | "cancelled" | "deadline-exceeded" | "internal" | "resource-exhausted" | "unavailable";

/** One upstream pool. */
export interface ClusterSpec {
  /** `outbound|9080|v1|reviews.default.svc.cluster.local`, `inbound|9080||`, `PassthroughCluster`, ... */
  readonly name: string;
  /** `original-destination`: the address the downstream dialled is the only endpoint. */
  readonly kind: "endpoints" | "original-destination";
  readonly service: ServiceRef | null;
  readonly endpoints: readonly EndpointSpec[];
  readonly loadBalancer: LoadBalancerName;
  /** Of `RING_HASH` and `MAGLEV`. */
  readonly hash?: HashSpec;
  readonly warmup?: WarmupSpec;
  readonly locality?: LocalitySpec;
  readonly dns?: DnsSpec;
  readonly healthCheck?: HealthCheckSpec;
  readonly tunnel?: TunnelSpec;
  /** A PROXY header goes before the first byte. */
  readonly proxyProtocol?: "V1" | "V2";
  readonly limits: LimitsSpec;
  /** Null: hosts are never ejected. */
  readonly outlierDetection: OutlierSpec | null;
  /** How to speak TLS to endpoints that ask for it; null: plaintext to all. */
  readonly tls: UpstreamTlsSpec | null;
  /** TLS to every endpoint, out of the mesh; `tls` is null then. */
  readonly originatedTls?: OriginatedTlsSpec;
  /** Why nothing may be sent to it; it has no endpoints then. */
  readonly refusal?: RefusalSpec;
  /** Dial from 127.0.0.6 or ::6, so that capture lets the connection pass to the application (`spec/02` 2.8). */
  readonly fromLoopbackSource: boolean;
  readonly protocol: UpstreamProtocol;
  /**
   * Offer endpoints that take mesh TLS the multiplexed hop: a peer that is an Outrider then gets HTTP/1 requests as
   * streams over few connections, any other notices nothing.
   */
  readonly hop: boolean;
  /** Null: as the HTTP/2 client does by itself. */
  readonly http2KeepAlive: Http2KeepAliveSpec | null;
}

/** TLS that was asked for and cannot be had. `provenance`: the `tls` of a DestinationRule; null where nobody can tell. */
export interface RefusalSpec {
  readonly reason: string;
  readonly provenance: Provenance | null;
}

/**
 * What HTTP requests are sent upstream with (`spec/04` 4.3); `downstream`: with what each came with. `http2` means
 * prior knowledge on plaintext and whatever ALPN says with TLS.
 */
export type UpstreamProtocol = "http1" | "http2" | "downstream";

/** HTTP/2 PINGs on connections that are otherwise quiet. */
export interface Http2KeepAliveSpec {
  readonly intervalMs: number;
  /** A connection on which a PING is unanswered for this long is given up. */
  readonly timeoutMs: number;
}

/** `spec/04` 4.3; a limit that is not set is `Infinity`, a time-out that is off is 0. */
export interface LimitsSpec {
  readonly connectTimeoutMs: number;
  /** Of HTTP connections without a request. */
  readonly idleTimeoutMs: number;
  /** Of opaque connections on which no byte moves either way (`spec/02` 2.5). */
  readonly tcpIdleTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Infinity: no limit; 1: no keep-alive. */
  readonly maxRequestsPerConnection: number;
  /** Streams at once on one connection that multiplexes, whatever its peer allows. */
  readonly maxConcurrentStreams: number;
  /** In place of `maxRetries`. */
  readonly retryBudget?: RetryBudgetSpec;
  /** A connection this old takes no more requests; 0 or absent: no limit. */
  readonly maxConnectionDurationMs?: number;
  /** Absent: as the proxy does by itself. */
  readonly tcpKeepAlive?: TcpKeepAliveSpec;
}

/** When TCP asks whether a silent peer is still there: after a time, then again and again, so often. */
export interface TcpKeepAliveSpec {
  readonly timeMs: number;
  readonly intervalMs: number;
  readonly probes: number;
}

/** `spec/04` 4.4. */
export interface OutlierSpec {
  /** 0: off. */
  readonly consecutive5xx: number;
  /** 0: off. */
  readonly consecutiveGatewayErrors: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
  /** Failures to connect count apart from answers (`splitExternalLocalOriginErrors`); 0: they never eject. */
  readonly consecutiveLocalOriginFailures?: number;
  /** Only these statuses are errors; absent: 500 and above. */
  readonly errorStatuses?: readonly number[];
  /** When its time is over one request is let through, and its result decides; absent: everybody is, at the next sweep. */
  readonly readmitsByProbe?: boolean;
}

export interface EndpointSpec {
  /** IP address, or a host name to resolve. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  /** From readiness in the EndpointSlice; an unhealthy endpoint counts but is never picked. */
  readonly isHealthy: boolean;
  /** Auto-mTLS: this endpoint takes mesh mTLS (`spec/05` 5.3). Only meaningful when the cluster has `tls`. */
  readonly isMeshTls: boolean;
  /** `region/zone/subzone`, parts that are not known left out; absent: unknown. */
  readonly locality?: string;
  /** 0, or absent, is tried first (`spec/04` 4.6). */
  readonly priority?: number;
  /** What metrics say of it. */
  readonly labels: WorkloadLabels;
}

/** Mesh mTLS towards a cluster (`spec/05` 5.4). */
export interface UpstreamTlsSpec {
  readonly mode: "ISTIO_MUTUAL";
  readonly serverName: string;
  /** SPIFFE IDs one of which the peer must prove; empty: any identity of an accepted trust domain. */
  readonly expectedIdentities: readonly string[];
}

export interface InboundSpec {
  /** Chosen by original destination port. */
  readonly ports: readonly InboundPortSpec[];
  /** Any other port; its `port` is 0. */
  readonly passthrough: InboundPortSpec;
  readonly authorization: AuthorizationSpec;
  /** Whom CUSTOM policies have asked; absent: nobody. */
  readonly externalAuthorizers?: readonly ExternalAuthorizerSpec[];
  /** RequestAuthentication; absent: tokens are nobody's business. */
  readonly jwtRules?: readonly JwtRuleSpec[];
  /** Requests for another host than TLS was opened for are served. Absent: they are refused with 421. */
  readonly allowsForeignHosts?: boolean;
  /** The least version in which mesh mTLS is served (`meshConfig.meshMTLS`); absent: TLS 1.2. */
  readonly leastTlsVersion?: "TLSv1.3";
}

export type MtlsMode = "STRICT" | "PERMISSIVE" | "DISABLE";

export interface InboundPortSpec {
  readonly port: number;
  readonly bind: BindSpec | null;
  readonly protocol: ProtocolSpec;
  readonly mtls: MtlsMode;
  /** What sets `mtls`; absent for the default, which nobody wrote. */
  readonly mtlsProvenance?: Provenance;
  /** Set only where `mtls` is DISABLE: nothing but this TLS is served. */
  readonly tls?: IngressTlsSpec;
  readonly rateLimits?: readonly RateLimitSpec[];
  readonly cluster: string;
  readonly service: ServiceRef | null;
  /** Of requests to the application; absent: what was never written is repeated (`spec/02` 2.8). */
  readonly retry?: RetrySpec | null;
}
