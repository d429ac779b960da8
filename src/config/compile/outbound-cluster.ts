import type { ClusterSpec, EndpointSpec, LimitsSpec } from "../snapshot.ts";
import type { DnsFamily, RetryBudgetSpec } from "../snapshot-cluster.ts";
import { clusterMembers } from "./cluster-members.ts";
import { outboundClusterName } from "./cluster-name.ts";
import type { DestinationRule, DestinationRules, OwnedSubset } from "./destination-rule-index.ts";
import { dnsOf } from "./dns-cluster.ts";
import { effectivePolicy } from "./effective-policy.ts";
import type { EffectivePolicy } from "./effective-policy.ts";
import { selects } from "./export-to.ts";
import { compileHealthCheck } from "./health-check.ts";
import { compileLimits } from "./limits.ts";
import { compileLoadBalancer } from "./load-balancer.ts";
import { withMeshDefaults } from "./mesh-default-policy.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { TlsFilesAtHand } from "./originated-tls.ts";
import type { PlacedEndpoint } from "./locality-plan.ts";
import type { OwnPlace } from "./own-place.ts";
import type { PeerAuthentications } from "./peer-authentication.ts";
import type { ProblemList } from "./problem-list.ts";
import { refusalBy } from "./rejected-rule.ts";
import { compileRetryBudget } from "./retry-budget.ts";
import type { Service, ServicePort } from "./service.ts";
import { compileTunnel } from "./tunnel.ts";
import { decideTls, takesMeshTls } from "./upstream-tls.ts";
import type { TlsDecision } from "./upstream-tls.ts";
import { compileHttp2KeepAlive, offersHop, outboundUpstreamProtocol } from "./upstream-protocol.ts";

/** What clusters are compiled from besides their service. */
export interface ClusterParts {
  readonly mesh: MeshSettings;
  readonly rules: DestinationRules;
  readonly policies: PeerAuthentications;
  readonly problems: ProblemList;
  /** Where the workload itself runs. */
  readonly place: OwnPlace;
  /** Of the addresses that names are resolved to. */
  readonly dnsFamily: DnsFamily;
  /** Those that TLS origination needs. */
  readonly files: TlsFilesAtHand;
}

/** The clusters of a service: one for each port, and one for each port and subset. */
export function outboundClusters(service: Service, parts: ClusterParts): ClusterSpec[] {
  const policy = parts.rules.of(service);
  const subsets: (OwnedSubset | null)[] = [null, ...(policy?.subsets ?? [])];
  return service.ports.flatMap((port) =>
    subsets.map((subset) => compileCluster(service, port, subset, withMeshDefaults(effectivePolicy(policy, port.number, subset), parts.mesh), policy?.resource ?? null, parts)));
}

function compileCluster(
  service: Service,
  port: ServicePort,
  owned: OwnedSubset | null,
  policy: EffectivePolicy,
  rule: DestinationRule | null,
  parts: ClusterParts,
): ClusterSpec {
  const subset = owned?.subset.name ?? "";
  const labelled = owned === null ? port.endpoints : port.endpoints.filter((endpoint) => selects(owned.subset.labels, endpoint.labels));
  const closing = parts.rules.closedBy(service, policy.tls !== null);
  const decision: TlsDecision = closing !== null ? { kind: "refused", refusal: refusalBy(closing) } : decideTls(service, port, subset, policy, parts.mesh, parts.files, parts.problems);
  const isPassthrough = service.resolution === "none" || policy.loadBalancer?.value.simple === "PASSTHROUGH";
  // An original-destination cluster dials whatever address the application chose: it could not be kept from dialling.
  const kind = isPassthrough && decision.kind !== "refused" ? "original-destination" : "endpoints";
  // Of an address that the application chose no other can take the place.
  const members = kind === "endpoints" ? clusterMembers(service, labelled, policy, rule, parts) : null;
  const placed = members?.endpoints ?? labelled.map((endpoint) => ({ endpoint, priority: 0 }));
  const endpoints = decision.kind === "refused" ? [] : placed.map((member) => compileEndpoint(member, decision, parts.policies));
  const tls = tlsOf(decision, kind, endpoints);
  const pool = policy.connectionPool?.value;
  const dns = kind === "endpoints" ? dnsOf(service, endpoints, parts.dnsFamily, parts.mesh) : null;
  return {
    name: outboundClusterName(port.number, subset, service.host),
    kind,
    service: service.ref,
    endpoints,
    ...compileLoadBalancer(policy.loadBalancer, rule, parts.problems),
    limits: withRetryBudget(compileLimits(pool, parts.mesh), compileRetryBudget(policy.retryBudget, [rule, service.resource], parts.problems)),
    outlierDetection: members?.outlierDetection ?? null,
    ...(members === null || members.localities === null ? {} : { locality: members.localities }),
    tls,
    ...(decision.kind === "originate" ? { originatedTls: decision.tls } : {}),
    ...(decision.kind === "refused" ? { refusal: decision.refusal } : {}),
    ...(dns === null ? {} : { dns }),
    ...compileTunnel(policy.tunnel, policy.proxyProtocol),
    ...compileHealthCheck(rule, kind, service.host, parts.problems),
    fromLoopbackSource: false,
    protocol: outboundUpstreamProtocol(port.protocol, pool, parts.mesh),
    hop: offersHop(port.protocol, tls, pool, [service.resource, rule, owned?.resource ?? null], parts.mesh, parts.problems),
    http2KeepAlive: compileHttp2KeepAlive(pool),
  };
}

/** A budget of the traffic policy stands for `maxRetries` as well. */
function withRetryBudget(limits: LimitsSpec, retryBudget: RetryBudgetSpec | undefined): LimitsSpec {
  if (retryBudget === undefined) return limits;
  return { ...limits, retryBudget, ...(retryBudget.kind === "concurrency" ? { maxRetries: Number.POSITIVE_INFINITY } : {}) };
}

function compileEndpoint({ endpoint, priority }: PlacedEndpoint, decision: TlsDecision, policies: PeerAuthentications): EndpointSpec {
  return {
    address: endpoint.address,
    port: endpoint.port,
    weight: endpoint.weight,
    isHealthy: endpoint.isHealthy,
    isMeshTls: decision.kind === "mesh" || (decision.kind === "auto" && takesMeshTls(endpoint, policies)),
    ...(endpoint.locality === "" ? {} : { locality: endpoint.locality }),
    ...(priority === 0 ? {} : { priority }),
    labels: endpoint.workload,
  };
}

/** With auto-mTLS, TLS where some endpoint takes it; where the address is the application's choice, only if all do. */
function tlsOf(decision: TlsDecision, kind: ClusterSpec["kind"], endpoints: readonly EndpointSpec[]): ClusterSpec["tls"] {
  if (decision.kind === "plain" || decision.kind === "refused" || decision.kind === "originate") return null;
  if (decision.kind === "mesh") return decision.tls;
  const takers = endpoints.filter((endpoint) => endpoint.isMeshTls).length;
  const isMutual = kind === "endpoints" ? takers > 0 : takers > 0 && takers === endpoints.length;
  return isMutual ? decision.tls : null;
}
