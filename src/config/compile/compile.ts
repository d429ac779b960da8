import type { AnyResource } from "../kinds/kind-specs.ts";
import type { Problem } from "../problem.ts";
import type { ClusterSpec, Snapshot, WorkloadSpec } from "../snapshot.ts";
import { compileAccessLog } from "./access-log-switch.ts";
import { compileAuthorization } from "./authorization.ts";
import type { RejectedPolicy } from "./authorization.ts";
import { withAutoAddresses } from "./auto-address.ts";
import { mergeDelegates } from "./delegate-merge.ts";
import { dnsFamily } from "./dns-cluster.ts";
import { DestinationRules } from "./destination-rule-index.ts";
import { effectiveProxyConfig } from "./effective-proxy-config.ts";
import { effectiveTelemetry } from "./effective-telemetry.ts";
import { EnvoyFilterLimits } from "./envoy-filter-limits.ts";
import { withForeignHosts } from "./foreign-hosts.ts";
import { compileInbound } from "./inbound.ts";
import { canonicalAddress } from "./ip-address.ts";
import { meshSettings } from "./mesh-settings.ts";
import type { MeshSettings, RejectedMesh } from "./mesh-settings.ts";
import { nameTable } from "./name-table.ts";
import type { NameTable } from "./name-table.ts";
import { outboundClusters } from "./outbound-cluster.ts";
import type { ClusterParts } from "./outbound-cluster.ts";
import type { FileDigest } from "./originated-tls.ts";
import { compileOutbound } from "./outbound.ts";
import { compileExternalAuthorizers, type ExternalAuthorizer } from "./external-authorizers.ts";
import { ownPlace } from "./own-place.ts";
import { ownPorts } from "./own-service.ts";
import { PeerAuthentications } from "./peer-authentication.ts";
import { PodIndex } from "./pod-index.ts";
import { ProblemList } from "./problem-list.ts";
import type { RejectedRule } from "./rejected-rule.ts";
import { compileRequestAuthentication } from "./request-authentication.ts";
import { reportReferences } from "./reference-check.ts";
import { compareText, oldestFirst } from "./resource-order.ts";
import { reportSelectors } from "./selector-check.ts";
import { serviceRegistry } from "./service-registry.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import { sidecarScope } from "./sidecar-scope.ts";
import type { SidecarScope } from "./sidecar-scope.ts";
import { staticClusters } from "./static-cluster.ts";
import { compileTrustSources } from "./trust-sources.ts";
import type { DestinationLookup } from "./weighted-destination.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";
import { workloadLabels } from "./workload-labels.ts";

export interface CompileInput {
  /** Valid by their schemas, in any order. */
  readonly resources: readonly AnyResource[];
  readonly workload: WorkloadIdentity;
  /** Policies, rules about TLS, and the mesh's settings that validation refused and of which no good version is left. */
  readonly rejectedPolicies?: readonly (RejectedPolicy | RejectedRule | RejectedMesh)[];
  /** Number of the snapshot. */
  readonly version: number;
  /** The workload's DNS queries come to us (spec/01 1.9): ServiceEntries get addresses, and there is a table of names. */
  readonly dnsCapture?: boolean;
  /** The table of names is wanted also without DNS capture: whoever asks dials by name. */
  readonly namesServices?: boolean;
  /** Reads the files that TLS origination names; absent where they are not at hand, and taken to be good. */
  readonly fileDigest?: FileDigest;
  /** Of `--certs`: below it, in `credentials/NAME`, is the Secret that `credentialName: NAME` means. Absent: `/etc/certs`. */
  readonly certificateDirectory?: string;
}

/** What came of a compilation; problems never keep the snapshot from being applied. */
export interface CompileOutput {
  readonly snapshot: Snapshot;
  readonly problems: readonly Problem[];
  /** What the local resolver answers from; null where nobody asked for it. */
  readonly names: NameTable | null;
}

/**
 * Turns the resources of a configuration into what the data path of one workload obeys. Pure: the same resources, in
 * whatever order, give an equal snapshot. Never throws for what a user can write: whatever cannot be obeyed is a
 * problem, and the snapshot then does the safe thing that the problem names.
 */
export function compile(input: CompileInput): CompileOutput {
  const { resources } = input;
  const problems = new ProblemList();
  const rejected = input.rejectedPolicies ?? [];
  const rejectedMesh = rejected.find((entry) => entry.kind === "MeshConfig") ?? null;
  const mesh = meshSettings(resources, input.workload.trustDomain, problems, rejectedMesh);
  const identity = { ...input.workload, addresses: input.workload.addresses.map(canonicalAddress) };
  const workload = workloadSpec(identity, mesh);
  const pods = new PodIndex(oldestFirst(resources, "Pod"), oldestFirst(resources, "Node"));
  const registry = addressedRegistry(input, serviceRegistry(resources, pods, problems), identity.addresses, problems);
  const scope = sidecarScope(mergeDelegates(resources, mesh, problems), registry, identity, mesh, problems);
  const closed = rejected.filter((entry) => entry.kind !== "DestinationRule" && entry.kind !== "MeshConfig");
  const policies = new PeerAuthentications(resources, closed, mesh.rootNamespace, problems);
  const rules = new DestinationRules(resources, identity, mesh, problems, rejected.filter((entry) => entry.kind === "DestinationRule"));
  const lookup = new ScopeLookup(scope, registry.aliases);
  const outbound = compileOutbound(scope, {
    workload: identity, mesh, lookup, problems, outboundMode: scope.outboundMode, aliases: registry.aliases,
  });
  const authorization = compileAuthorization(resources, closed, identity, mesh, problems);
  const files = { digest: input.fileDigest ?? null, certificateDirectory: input.certificateDirectory };
  const inbound = withForeignHosts(
    compileInbound({ registry, pods, identity, workload, sidecar: scope.sidecar, policies, rules, mesh, problems, authorization, files }),
    registry.services, identity, problems);
  const external = compileExternalAuthorizers({ resources, custom: authorization.custom ?? [], workload: identity, mesh, registry, visible: scope.services, problems });
  const jwtRules = compileRequestAuthentication(resources, identity, mesh, problems);
  const limits = new EnvoyFilterLimits(resources, identity, mesh, (number) => ownPorts(registry, identity, pods, problems).filter((own) => own.number === number).map(({ port }) => port.number), problems);
  reportReferences(resources, registry, problems);
  // It is read when a proxy starts; here only for what of it comes second.
  effectiveProxyConfig(resources, identity, problems);
  policies.reportShadowed(identity.namespace, identity.labels, problems);
  reportSelectors(resources, pods, identity, mesh, problems);
  const place = ownPlace(identity, pods, registry.services);
  const snapshot: Snapshot = {
    version: input.version,
    workload: place.locality === "" ? workload : { ...workload, locality: place.locality },
    outbound: limits.outbound(outbound),
    inbound: limits.inbound({
      ...inbound.inbound,
      ...(external === null ? {} : { externalAuthorizers: [external.spec] }),
      ...(jwtRules.length === 0 ? {} : { jwtRules }),
    }),
    clusters: allClusters(scope, external, { mesh, rules, policies, problems, place, dnsFamily: dnsFamily(identity.addresses), files }, inbound.clusters),
    pathNormalization: mesh.pathNormalization,
    trustDomains: mesh.trustDomains,
    ...compileTrustSources(mesh),
    accessLog: compileAccessLog(effectiveTelemetry(resources, identity, problems, mesh.rootNamespace), mesh, problems),
  };
  return { snapshot, problems: problems.sorted(), names: input.dnsCapture === true || input.namesServices === true ? nameTable(scope.services, identity.namespace) : null };
}

/** With DNS capture every host that needs an address has one. */
function addressedRegistry(input: CompileInput, registry: ServiceRegistry, own: readonly string[], problems: ProblemList): ServiceRegistry {
  return input.dnsCapture === true ? { ...registry, services: withAutoAddresses(registry.services, own, problems) } : registry;
}

function workloadSpec(identity: WorkloadIdentity, mesh: MeshSettings): WorkloadSpec {
  const { podName, namespace, serviceAccount, addresses, labels } = identity;
  return {
    podName,
    namespace,
    serviceAccount,
    trustDomain: mesh.trustDomain,
    addresses,
    labels,
    metrics: workloadLabels({ labels, namespace, podName, workloadName: null }),
  };
}

function allClusters(scope: SidecarScope, external: ExternalAuthorizer | null, parts: ClusterParts, inbound: readonly ClusterSpec[]): ClusterSpec[] {
  const clusters = [
    ...staticClusters(parts.mesh),
    ...scope.services.flatMap((service) => outboundClusters(service, parts)),
    ...inbound,
  ];
  // It is asked whether or not the application may call it.
  if (external !== null && !scope.services.includes(external.service)) {
    clusters.push(...outboundClusters(external.service, parts).filter(({ name }) => name === external.spec.cluster));
  }
  return clusters.toSorted((a, b) => compareText(a.name, b.name));
}

/** The services a workload may send to, by host. */
class ScopeLookup implements DestinationLookup {
  readonly #services: ReadonlyMap<string, SidecarScope["services"][number]>;
  readonly #aliases: ReadonlyMap<string, string>;

  constructor(scope: SidecarScope, aliases: ReadonlyMap<string, string>) {
    this.#services = new Map(scope.services.map((service) => [service.host, service]));
    this.#aliases = aliases;
  }

  find(host: string) {
    return this.#services.get(host) ?? null;
  }

  resolveAlias(host: string): string {
    return this.#aliases.get(host) ?? host;
  }
}
