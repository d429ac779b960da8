import type { AnyResource, ResourceOf } from "../kinds/kind-specs.ts";
import type { WorkloadEntrySpec } from "../kinds/workload-entry.ts";
import { TLS_MODE_LABEL } from "./endpoint-of-pod.ts";
import { selects } from "./export-to.ts";
import { canonicalAddress } from "./ip-address.ts";
import { formatLocality, localityOfLabels, parseLocality, withTopology } from "./locality.ts";
import { oldestFirst } from "./resource-order.ts";
import type { ServiceEndpoint } from "./service.ts";
import { workloadLabels } from "./workload-labels.ts";

type WorkloadEntry = ResourceOf<"WorkloadEntry">;

/** A service port as the ports of a WorkloadEntry are compared with it. */
export interface WorkloadPort {
  readonly name: string;
  readonly number: number;
  /** A name is one of the workload's own ports. */
  readonly targetPort?: number | string | undefined;
}

/** The WorkloadEntries of a configuration by their namespaces. */
export class WorkloadEntries {
  readonly #byNamespace = new Map<string, WorkloadEntry[]>();

  constructor(resources: readonly AnyResource[]) {
    for (const entry of oldestFirst(resources, "WorkloadEntry")) {
      const known = this.#byNamespace.get(entry.metadata.namespace);
      if (known === undefined) this.#byNamespace.set(entry.metadata.namespace, [entry]);
      else known.push(entry);
    }
  }

  /** The endpoints on a port of those that a selector of the namespace selects; null selects none. */
  selectedBy(selector: Readonly<Record<string, string>> | null, namespace: string, port: WorkloadPort): ServiceEndpoint[] {
    const candidates = this.#byNamespace.get(namespace);
    if (candidates === undefined || selector === null) return [];
    return candidates.flatMap((entry) => {
      const labels = labelsOf(entry);
      const endpoint = selects(selector, labels) ? endpointOfWorkload({ ...entry.spec, labels }, port, namespace, entry.metadata.name) : null;
      return endpoint === null ? [] : [endpoint];
    });
  }
}

/** A WorkloadEntry's labels are those of its spec and of its metadata. */
export function labelsOf(entry: WorkloadEntry): Record<string, string> {
  return { ...entry.metadata.labels, ...entry.spec.labels };
}

/**
 * One endpoint from a WorkloadEntry, or an entry of `ServiceEntry.endpoints` (spec/00 0.4): its own port of that name, else
 * the service's target port, else the same number. Null for an address that cannot be dialled (none at all, or a Unix
 * socket), and for a named target port that the workload does not have.
 */
export function endpointOfWorkload(entry: WorkloadEntrySpec, port: WorkloadPort, namespace: string, name: string | null): ServiceEndpoint | null {
  if (entry.address === undefined || entry.address === "" || entry.address.startsWith("unix:")) return null;
  const number = ownPort(entry, port.name) ?? (typeof port.targetPort === "string" ? ownPort(entry, port.targetPort) : port.targetPort ?? port.number);
  if (number === undefined) return null;
  const mode = entry.labels[TLS_MODE_LABEL];
  const locality = entry.locality === undefined || entry.locality === "" ? localityOfLabels(entry.labels) : formatLocality(parseLocality(entry.locality));
  const serviceAccount = entry.serviceAccount === undefined || entry.serviceAccount === "" ? null : entry.serviceAccount;
  return {
    address: canonicalAddress(entry.address.toLowerCase()),
    port: number,
    weight: entry.weight === undefined || entry.weight === 0 ? 1 : entry.weight,
    isHealthy: true,
    labels: withTopology(entry.labels, locality, null, entry.network ?? null),
    namespace,
    serviceAccount,
    // Istio's rule for workloads outside Kubernetes: without the label, whoever has an identity takes mTLS.
    takesMeshTls: mode === undefined ? serviceAccount !== null : mode === "istio",
    hostName: null,
    locality,
    nodeName: null,
    workload: workloadLabels({ labels: entry.labels, namespace, podName: null, workloadName: name }),
  };
}

function ownPort(entry: WorkloadEntrySpec, name: string): number | undefined {
  return entry.ports !== undefined && Object.hasOwn(entry.ports, name) ? entry.ports[name] : undefined;
}
