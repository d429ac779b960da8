import { canonicalAddress } from "./ip-address.ts";
import { withTopology } from "./locality.ts";
import type { PodIndex } from "./pod-index.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** Where the workload runs, as far as it is known. */
export interface OwnPlace {
  /** `region/zone/subzone`; empty: not known. */
  readonly locality: string;
  readonly nodeName: string | null;
  /** Its labels, with what is known of the place among them. */
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Where the workload runs: as it was told when it was started, else as its Pod, the Pod's Node and its own labels say, else as
 * some service's endpoint at its address does (an EndpointSlice, a WorkloadEntry).
 */
export function ownPlace(workload: WorkloadIdentity, pods: PodIndex, services: readonly Service[]): OwnPlace {
  const pod = pods.named(workload.namespace, workload.podName);
  const told = { locality: workload.locality ?? "", nodeName: workload.nodeName ?? pod?.spec.spec.nodeName ?? null };
  const labels = { ...pod?.metadata.labels, ...workload.labels };
  const own = { locality: told.locality || pods.localityOf(labels, told.nodeName), nodeName: told.nodeName };
  const place = own.locality !== "" && own.nodeName !== null ? own : completed(own, workload, services);
  return { ...place, labels: withTopology(labels, place.locality, place.nodeName, null) };
}

function completed(place: Omit<OwnPlace, "labels">, workload: WorkloadIdentity, services: readonly Service[]): Omit<OwnPlace, "labels"> {
  const addresses = new Set(workload.addresses.map(canonicalAddress));
  let { locality, nodeName } = place;
  for (const { ports } of addresses.size === 0 ? [] : services) {
    for (const endpoint of ports.flatMap(({ endpoints }) => endpoints)) {
      if (!addresses.has(endpoint.address)) continue;
      locality ||= endpoint.locality;
      nodeName ??= endpoint.nodeName;
    }
    if (locality !== "" && nodeName !== null) break;
  }
  return { locality, nodeName };
}
