import type { Destination } from "../kinds/virtual-service.ts";
import type { WeightedClusterSpec } from "../snapshot.ts";
import type { ChangesSpec } from "../snapshot-route.ts";
import { outboundClusterName } from "./cluster-name.ts";
import { qualifyHost } from "./host-name.ts";
import type { Service } from "./service.ts";

/** Finds services by host, for destinations that name no port. */
export interface DestinationLookup {
  /** Null for a host that the workload does not see. */
  find(host: string): Service | null;
  /** The host an ExternalName service stands for, or the host itself. */
  resolveAlias(host: string): string;
}

/**
 * The clusters of a weighted route (spec/03 3.3). One destination gets everything, whatever its weight; of several,
 * those of weight 0 get nothing. Empty when all are 0.
 *
 * @param namespace of the rule, which completes short host names.
 * @param port that the request arrived on, for destinations of several ports that name none.
 * @param changesOf what a destination changes of its requests, by its place in the list.
 */
export function compileDestinations(
  route: readonly { readonly destination: Destination; readonly weight: number }[],
  namespace: string,
  port: number,
  lookup: DestinationLookup,
  changesOf: (destination: number) => ChangesSpec | undefined = () => undefined,
): WeightedClusterSpec[] {
  const parts = route.map(({ destination, weight }, index) => {
    const changes = changesOf(index);
    return {
      name: destinationCluster(destination, namespace, port, lookup),
      weight: route.length === 1 ? 1 : weight,
      ...(changes === undefined ? {} : { changes }),
    };
  });
  return parts.filter((part) => part.weight > 0);
}

/** The cluster a destination names. One that does not exist answers 503 `NC` when a request comes. */
export function destinationCluster(destination: Destination, namespace: string, port: number, lookup: DestinationLookup): string {
  const host = lookup.resolveAlias(qualifyHost(destination.host, namespace));
  const ports = lookup.find(host)?.ports ?? [];
  const number = destination.port?.number ?? (ports.length === 1 ? ports[0]?.number : undefined) ?? port;
  return outboundClusterName(number, destination.subset ?? "", host);
}
