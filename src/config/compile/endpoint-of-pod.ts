import type { ResourceOf } from "../kinds/kind-specs.ts";
import { withTopology } from "./locality.ts";
import type { PodIndex } from "./pod-index.ts";
import type { ServiceEndpoint } from "./service.ts";
import { workloadLabels } from "./workload-labels.ts";

/** The label by which an endpoint says whether it takes mesh mTLS: `istio` or `disabled`. */
export const TLS_MODE_LABEL = "security.istio.io/tlsMode";

/** What an EndpointSlice, or Endpoints, say of the place of an address. */
export interface ListedPlace {
  readonly nodeName?: string | undefined;
  readonly zone?: string | undefined;
}

/**
 * An endpoint with the labels, the identity and the place of its pod; without a pod nothing is known of it but what its list says.
 * `pods` knows the nodes.
 */
export function endpointOfPod(
  address: string,
  port: number,
  isHealthy: boolean,
  namespace: string,
  pod: ResourceOf<"Pod"> | null,
  pods: PodIndex,
  listed: ListedPlace = {},
): ServiceEndpoint {
  const labels = pod?.metadata.labels ?? {};
  const nodeName = listed.nodeName || pod?.spec.spec.nodeName || null;
  const locality = pods.localityOf(labels, nodeName, listed.zone);
  const podNamespace = pod?.metadata.namespace ?? namespace;
  return {
    address,
    port,
    weight: 1,
    isHealthy,
    labels: withTopology(labels, locality, nodeName, null),
    namespace: podNamespace,
    serviceAccount: pod?.spec.spec.serviceAccountName ?? null,
    takesMeshTls: labels[TLS_MODE_LABEL] === "istio",
    hostName: null,
    locality,
    nodeName,
    workload: workloadLabels({ labels, namespace: podNamespace, podName: pod?.metadata.name ?? null, workloadName: null }),
  };
}
