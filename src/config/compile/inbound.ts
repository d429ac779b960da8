import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { SidecarIngress } from "../kinds/sidecar.ts";
import type { ClusterSpec, InboundPortSpec, InboundSpec, WorkloadSpec } from "../snapshot.ts";
import type { AuthorizationSpec } from "../snapshot-security.ts";
import { inboundClusterName } from "./cluster-name.ts";
import type { DestinationRules } from "./destination-rule-index.ts";
import { effectivePolicy } from "./effective-policy.ts";
import { inboundCluster } from "./inbound-cluster.ts";
import type { Application } from "./inbound-cluster.ts";
import { inboundProtocol, inboundRetry, mtlsOf, passthroughPort } from "./inbound-port.ts";
import { withRateLimits } from "./inbound-limits.ts";
import { ingressTls } from "./ingress-tls.ts";
import { ingressApplication, ingressBind, ingressService, poolPort } from "./ingress-port.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { TlsFilesAtHand } from "./originated-tls.ts";
import { ownPorts } from "./own-service.ts";
import type { OwnPort } from "./own-service.ts";
import type { PeerAuthentications } from "./peer-authentication.ts";
import type { PodIndex } from "./pod-index.ts";
import { protocolOfPort } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** What the inbound side is compiled from. */
export interface InboundParts {
  readonly registry: ServiceRegistry;
  readonly pods: PodIndex;
  readonly identity: WorkloadIdentity;
  readonly workload: WorkloadSpec;
  readonly sidecar: ResourceOf<"Sidecar"> | null;
  readonly policies: PeerAuthentications;
  /** As the workload itself sees them. */
  readonly rules: DestinationRules;
  readonly mesh: MeshSettings;
  readonly problems: ProblemList;
  readonly authorization: AuthorizationSpec;
  /** Those of TLS that ports terminate themselves. */
  readonly files: TlsFilesAtHand;
}

interface PortAndCluster {
  readonly port: InboundPortSpec;
  readonly cluster: ClusterSpec;
}

/** Everything about the connections others open to the workload (spec/02 2.6 to 2.8). */
export function compileInbound(parts: InboundParts): { inbound: InboundSpec; clusters: ClusterSpec[] } {
  const own = ownPorts(parts.registry, parts.identity, parts.pods, parts.problems);
  const ingress = parts.sidecar?.spec.ingress ?? [];
  const compiled = ingress.length > 0 ? ingressPorts(ingress, own, parts) : servicePorts(own, parts);
  const ports = compiled.map((entry) => entry.port);
  const { namespace, labels } = parts.identity;
  for (const number of parts.policies.portsOf(namespace, labels)) {
    if (!ports.some((port) => port.port === number)) ports.push(passthroughPort(number, parts.identity, parts.policies, parts.mesh));
  }
  return {
    inbound: {
      ports: ports.toSorted((a, b) => a.port - b.port).map((port) => withRateLimits(port, own, parts.problems)),
      passthrough: passthroughPort(0, parts.identity, parts.policies, parts.mesh),
      authorization: parts.authorization,
      ...(parts.mesh.isTls13Required ? { leastTlsVersion: "TLSv1.3" } : {}),
    },
    clusters: compiled.map((entry) => entry.cluster),
  };
}

/** Without ingress entries: a port for each target port of the services that select the workload. */
function servicePorts(own: readonly OwnPort[], parts: InboundParts): PortAndCluster[] {
  const winners = new Map<number, OwnPort>();
  for (const entry of own) {
    const rival = winners.get(entry.number);
    if (rival === undefined) winners.set(entry.number, entry);
    else if (rival.service !== entry.service && rival.port.protocol !== entry.port.protocol) {
      const index = entry.service.ports.indexOf(entry.port);
      parts.problems.warning(entry.service.resource, ["spec", "ports", index], `workload port ${entry.number} is treated as service ${rival.service.host} declares it (${rival.port.protocol}), which is older, not as ${entry.port.protocol}`);
    }
  }
  return [...winners.values()].map(({ number, service, port }) => {
    const application: Application = parts.mesh.inboundMode === "LOCALHOST"
      ? { kind: "address", address: "127.0.0.1", port: number, fromLoopbackSource: false }
      : { kind: "original" };
    const pool = parts.sidecar?.spec.inboundConnectionPool ?? servicePool(service, port.number, parts);
    return {
      port: {
        port: number,
        bind: null,
        protocol: inboundProtocol(port.protocol),
        ...mtlsOf(number, parts.identity, parts.policies),
        cluster: inboundClusterName(number),
        service: service.ref,
        ...inboundRetry(port.protocol, parts.mesh),
      },
      cluster: inboundCluster(number, port.protocol, service, application, pool, parts.workload, parts.mesh),
    };
  });
}

/** With ingress entries: exactly those. */
function ingressPorts(ingress: readonly SidecarIngress[], own: readonly OwnPort[], parts: InboundParts): PortAndCluster[] {
  const taken = new Map<number, PortAndCluster>();
  const sidecar = parts.sidecar as ResourceOf<"Sidecar">;
  for (const [index, entry] of ingress.entries()) {
    const path = ["spec", "ingress", index];
    const { number } = entry.port;
    if (taken.has(number)) {
      parts.problems.error(sidecar, [...path, "port", "number"], "another ingress entry has this port: this one is left out");
      continue;
    }
    const declared = protocolOfPort({ appProtocol: entry.port.protocol, name: entry.port.name, port: number });
    const mtls = mtlsOf(number, parts.identity, parts.policies);
    const terminated = ingressTls(entry, declared, mtls.mtls, parts.files, sidecar, path, parts.problems);
    const protocol = terminated?.protocol ?? declared;
    const bind = ingressBind(entry);
    const service = ingressService(entry, bind, own, parts.registry);
    const application = ingressApplication(entry, bind, parts.identity, sidecar, path, parts.problems);
    const pool = entry.connectionPool ?? sidecar.spec.inboundConnectionPool ?? servicePool(service, number, parts);
    taken.set(number, {
      port: {
        port: number,
        bind,
        protocol: inboundProtocol(protocol),
        ...mtls,
        ...(terminated === null ? {} : { tls: terminated.tls }),
        cluster: inboundClusterName(number),
        service: service?.ref ?? null,
        ...inboundRetry(protocol, parts.mesh),
      },
      cluster: inboundCluster(number, protocol, service, application, pool, parts.workload, parts.mesh),
    });
  }
  return [...taken.values()];
}

/** Of the service's DestinationRule only the connection pool holds for the inbound side (spec/04 4.1). */
function servicePool(service: Service | null, number: number, parts: InboundParts): ConnectionPool | undefined {
  const port = service === null ? null : poolPort(service, number);
  if (service === null || port === null) return undefined;
  return effectivePolicy(parts.rules.of(service), port, null).connectionPool?.value;
}
