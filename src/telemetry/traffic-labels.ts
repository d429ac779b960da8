import type { WorkloadSpec } from "../config/snapshot.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { Direction, ServiceRef } from "../message/stream-info.ts";
import type { WorkloadLabels } from "../message/workload-labels.ts";

/** What HTTP and TCP streams have in common for their labels. */
export interface TrafficFacts {
  readonly direction: Direction;
  readonly connection: ConnectionFacts;
  readonly clusterName: string | null;
  readonly service: ServiceRef | null;
  readonly upstreamPrincipal: string | null;
  readonly peer: WorkloadLabels | null;
}

const UNKNOWN = "unknown";
/** Clusters that stand for no service; they name the destination themselves. */
const SPECIAL_CLUSTERS = new Set(["PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"]);
const HOST_NAME = /^[a-z0-9_]([a-z0-9_.:-]{0,252})$/;

const UNKNOWN_WORKLOAD: WorkloadLabels = {
  workload: UNKNOWN, namespace: UNKNOWN, canonicalService: UNKNOWN, canonicalRevision: "latest", app: UNKNOWN, version: UNKNOWN, cluster: UNKNOWN,
};

/** Our own SPIFFE ID. */
export function ownPrincipal(workload: WorkloadSpec): string {
  return `spiffe://${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
}

/**
 * The labels from `reporter` to `destination_cluster`, in the order of `REQUEST_LABELS` (value rules: spec/06 6.1).
 * `fallbackHost` stands for a service nobody knows; "" when there is none.
 */
export function peerLabels(facts: TrafficFacts, workload: WorkloadSpec, fallbackHost: string): string[] {
  const isInbound = facts.direction === "inbound";
  const peer = facts.peer ?? UNKNOWN_WORKLOAD;
  const source = isInbound ? peer : workload.metrics;
  const destination = isInbound ? workload.metrics : peer;
  const tls = facts.connection.tls;
  const isMutual = isInbound ? hasPeer(facts) : facts.upstreamPrincipal !== null;
  const sourcePrincipal = isInbound ? tls?.peer?.spiffeId : ownPrincipal(workload);
  const destinationPrincipal = isInbound ? tls?.ownSpiffeId : facts.upstreamPrincipal;
  return [
    isInbound ? "destination" : "source",
    known(source.workload), known(source.canonicalService), source.canonicalRevision || "latest", known(source.namespace),
    isMutual ? known(sourcePrincipal) : UNKNOWN, known(source.app), known(source.version), known(source.cluster),
    known(destination.workload), known(destination.namespace),
    isMutual ? known(destinationPrincipal) : UNKNOWN, known(destination.app), known(destination.version),
    serviceHost(facts, fallbackHost), known(destination.canonicalService), destination.canonicalRevision || "latest",
    serviceName(facts, fallbackHost), serviceNamespace(facts, workload), known(destination.cluster),
  ];
}

/** The last label: only the destination saw the handshake as its own. */
export function securityPolicy(facts: TrafficFacts): string {
  if (facts.direction === "outbound") return UNKNOWN;
  return hasPeer(facts) ? "mutual_tls" : "none";
}

/** True when the downstream peer proved an identity. */
function hasPeer(facts: TrafficFacts): boolean {
  const tls = facts.connection.tls;
  return tls !== null && tls.peer !== null;
}

/**
 * The host a caller named, as a label: lower case, without its port; "" when it is no host name. Only the outbound
 * side falls back to it: inbound, any peer could fill the series with names of its choice.
 */
export function hostLabel(direction: Direction, authority: string): string {
  if (direction === "inbound") return "";
  const host = authority.replace(/:\d*$/, "").toLowerCase();
  return HOST_NAME.test(host) ? host : "";
}

function serviceHost(facts: TrafficFacts, fallbackHost: string): string {
  return known(facts.service?.host ?? fallbackHost);
}

function serviceName(facts: TrafficFacts, fallbackHost: string): string {
  if (facts.service !== null) return known(facts.service.name);
  const cluster = facts.clusterName;
  return cluster !== null && SPECIAL_CLUSTERS.has(cluster) ? cluster : known(fallbackHost);
}

function serviceNamespace(facts: TrafficFacts, workload: WorkloadSpec): string {
  if (facts.service !== null) return known(facts.service.namespace);
  return facts.direction === "inbound" ? workload.namespace : known(facts.peer?.namespace);
}

function known(value: string | null | undefined): string {
  return value === undefined || value === null || value === "" ? UNKNOWN : value;
}
