import { selects } from "./export-to.ts";
import { canonicalAddress } from "./ip-address.ts";
import { withTopology, zoneText } from "./locality.ts";
import type { PodIndex } from "./pod-index.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** Where the workload runs, as far as it is known. */
export interface OwnPlace {
  /** `region/zone/subzone`; empty: not known. */
  readonly locality: string;
  readonly nodeName: string | null;
  /** The workload and its like by `region/zone`: the endpoints of a service that it is behind. Empty: there is none. */
  readonly callers: readonly { readonly zone: string; readonly count: number }[];
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
  const addresses = new Set(workload.addresses.map(canonicalAddress));
  const place = own.locality !== "" && own.nodeName !== null ? own : completed(own, addresses, services);
  const callers = callersByZone(services.find((service) => isBehind(service, workload, addresses)));
  return { ...place, callers, labels: withTopology(labels, place.locality, place.nodeName, null) };
}

function isBehind({ namespace, selector, ports }: Service, workload: WorkloadIdentity, addresses: ReadonlySet<string>): boolean {
  const isSelected = namespace === workload.namespace && selector !== null && selects(selector, workload.labels);
  return ports.some(({ endpoints }) => endpoints.length > 0 && (isSelected || endpoints.some(({ address }) => addresses.has(address))));
}

/** Of the ready endpoints of a service, each address once, those whose zone is known. */
function callersByZone(service: Service | undefined): OwnPlace["callers"] {
  const all = service?.ports.flatMap(({ endpoints }) => endpoints.filter(({ isHealthy, locality }) => isHealthy && locality !== "")) ?? [];
  const each = [...new Map(all.map((endpoint) => [endpoint.address, endpoint])).values()];
  return [...Map.groupBy(each, ({ locality }) => zoneText(locality))].map(([zone, members]) => ({ zone, count: members.length }));
}

type Place = Pick<OwnPlace, "locality" | "nodeName">;

function completed(place: Place, addresses: ReadonlySet<string>, services: readonly Service[]): Place {
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
