import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { ServiceEndpoint } from "./service.ts";
import { workloadLabels } from "./workload-labels.ts";

/** The label by which an endpoint says whether it takes mesh mTLS: `istio` or `disabled`. */
export const TLS_MODE_LABEL = "security.istio.io/tlsMode";

/** An endpoint with the labels and the identity of its pod; without a pod nothing is known of it. */
export function endpointOfPod(
  address: string,
  port: number,
  isHealthy: boolean,
  namespace: string,
  pod: ResourceOf<"Pod"> | null,
): ServiceEndpoint {
  const labels = pod?.metadata.labels ?? {};
  const podNamespace = pod?.metadata.namespace ?? namespace;
  return {
    address,
    port,
    weight: 1,
    isHealthy,
    labels,
    namespace: podNamespace,
    serviceAccount: pod?.spec.spec.serviceAccountName ?? null,
    takesMeshTls: labels[TLS_MODE_LABEL] === "istio",
    hostName: null,
    workload: workloadLabels({ labels, namespace: podNamespace, podName: pod?.metadata.name ?? null, workloadName: null }),
  };
}
