import * as v from "valibot";
import { lenientObject, list, mapOf, text } from "./field.ts";

/*
 * The Kubernetes kinds, as `kubectl get -o yaml` writes them. Read leniently: they come from a cluster, not from a
 * person's hand, and a newer Kubernetes adds fields. Only what Outrider uses is taken over; empty values are dropped
 * before these schemas see them.
 */

const port = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));
const protocol = v.optional(v.picklist(["TCP", "UDP", "SCTP"]), "TCP");
const reference = lenientObject({ kind: v.optional(text), name: v.optional(text), namespace: v.optional(text) });

export const service = lenientObject({
  type: v.optional(text, "ClusterIP"),
  clusterIP: v.optional(text),
  clusterIPs: list(text),
  externalName: v.optional(text),
  selector: mapOf(text),
  publishNotReadyAddresses: v.optional(v.boolean(), false),
  internalTrafficPolicy: v.optional(text),
  trafficDistribution: v.optional(text),
  ports: list(lenientObject({
    name: v.optional(text, ""),
    port,
    protocol,
    /** Number, or the name of a container port. */
    targetPort: v.optional(v.union([port, text])),
    appProtocol: v.optional(text),
  })),
});
export type ServiceSpec = v.InferOutput<typeof service>;
export type ServicePort = ServiceSpec["ports"][number];

export const endpointSlice = lenientObject({
  addressType: v.optional(text, "IPv4"),
  endpoints: list(lenientObject({
    addresses: list(text),
    /** Undefined `ready` counts as ready. */
    conditions: v.optional(lenientObject({
      ready: v.optional(v.boolean()),
      serving: v.optional(v.boolean()),
      terminating: v.optional(v.boolean()),
    }), {}),
    hostname: v.optional(text),
    nodeName: v.optional(text),
    zone: v.optional(text),
    targetRef: v.optional(reference),
  })),
  ports: list(lenientObject({ name: v.optional(text, ""), port: v.optional(port), protocol, appProtocol: v.optional(text) })),
});
export type EndpointSliceSpec = v.InferOutput<typeof endpointSlice>;
export type SliceEndpoint = EndpointSliceSpec["endpoints"][number];

const endpointAddress = lenientObject({
  ip: text,
  hostname: v.optional(text),
  nodeName: v.optional(text),
  targetRef: v.optional(reference),
});

export const endpoints = lenientObject({
  subsets: list(lenientObject({
    addresses: list(endpointAddress),
    notReadyAddresses: list(endpointAddress),
    ports: list(lenientObject({ name: v.optional(text, ""), port, protocol, appProtocol: v.optional(text) })),
  })),
});
export type EndpointsSpec = v.InferOutput<typeof endpoints>;

/** Its labels are all that counts. */
export const node = lenientObject({});
export type NodeSpec = v.InferOutput<typeof node>;

/** As whom programs run; what a container says counts before what its pod says. */
const runsAs = { runAsUser: v.optional(v.number()), runAsGroup: v.optional(v.number()) };
const containerSecurity = v.optional(lenientObject({
  ...runsAs,
  privileged: v.optional(v.boolean(), false),
  capabilities: v.optional(lenientObject({ add: list(text) }), {}),
}), {});

export const pod = lenientObject({
  spec: v.optional(lenientObject({
    securityContext: v.optional(lenientObject(runsAs), {}),
    serviceAccountName: v.optional(text, "default"),
    nodeName: v.optional(text),
    hostNetwork: v.optional(v.boolean(), false),
    containers: list(lenientObject({
      name: v.optional(text, ""),
      ports: list(lenientObject({ name: v.optional(text), containerPort: port, protocol })),
      securityContext: containerSecurity,
    })),
    initContainers: list(lenientObject({ name: v.optional(text, ""), restartPolicy: v.optional(text), securityContext: containerSecurity })),
  }), {}),
  status: v.optional(lenientObject({
    phase: v.optional(text),
    podIP: v.optional(text),
    podIPs: list(lenientObject({ ip: v.optional(text) })),
  }), {}),
});
/** The Pod object itself: `spec` and `status` lie inside. */
export type PodSpec = v.InferOutput<typeof pod>;
