import type { ServiceRef } from "../../message/stream-info.ts";
import type { WorkloadLabels } from "../../message/workload-labels.ts";
import type { Resource } from "../resource.ts";
import type { PortProtocol } from "./port-protocol.ts";

/** One address behind one port of a service, with what rules ask of it. */
export interface ServiceEndpoint {
  /** IP address, or a host name to resolve. */
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly isHealthy: boolean;
  /** What subsets and policies select by, those of its place among them. */
  readonly labels: Readonly<Record<string, string>>;
  readonly namespace: string;
  /** Null where nothing says it. */
  readonly serviceAccount: string | null;
  /** Its label `security.istio.io/tlsMode` says that it takes mesh mTLS. */
  readonly takesMeshTls: boolean;
  /** Its name below that of its headless service (a StatefulSet's `mysql-0`); null for most. */
  readonly hostName: string | null;
  /** `region/zone/subzone`; empty where it is not known. */
  readonly locality: string;
  /** The node it runs on; null where nothing says it. */
  readonly nodeName: string | null;
  readonly workload: WorkloadLabels;
}

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: PortProtocol;
  /** Number, or name of a container port. */
  readonly targetPort: number | string;
  readonly endpoints: readonly ServiceEndpoint[];
}

/**
 * How the endpoints are found: `static` are those listed, `dns` are all addresses of host names, `dns-round-robin` is one host
 * name whose first address counts, `none` is wherever the application connected to (headless services, ServiceEntry
 * resolution NONE).
 */
export type Resolution = "static" | "dns" | "dns-round-robin" | "none";

/** One host of the registry (spec/00 0.3), from a Kubernetes Service or a ServiceEntry. */
export interface Service {
  readonly host: string;
  readonly ref: ServiceRef;
  readonly namespace: string;
  readonly resolution: Resolution;
  /** A Kubernetes service without cluster IP: its clients dial the pods. */
  readonly isHeadless: boolean;
  /** Its DNS name stands for endpoints that are not ready, too. */
  readonly publishesNotReady: boolean;
  /** Outside the mesh: never mesh mTLS on our own account. */
  readonly isExternal: boolean;
  readonly isKubernetes: boolean;
  /** Virtual IPs, single addresses. */
  readonly addresses: readonly string[];
  /** CIDR blocks of several addresses, any of which is its own; absent: none. */
  readonly addressBlocks?: readonly string[];
  readonly ports: readonly ServicePort[];
  /** `trafficDistribution` as the Service, or its annotation, has it; absent: nothing is said. */
  readonly trafficDistribution?: string;
  /** Its endpoints are reached from their own node only (`internalTrafficPolicy: Local`). */
  readonly isNodeLocal?: boolean;
  readonly exportTo: readonly string[];
  /** Identities it may have besides those of its endpoints. */
  readonly subjectAltNames: readonly string[];
  /** Labels of the workloads that are its endpoints; null when it does not select. */
  readonly selector: Readonly<Record<string, string>> | null;
  readonly resource: Resource;
}

/** The port with this number, or null. */
export function portOf(service: Service, number: number): ServicePort | null {
  return service.ports.find((port) => port.number === number) ?? null;
}
