import * as v from "valibot";
import { filledList, filledText, labels, list, object, oneOf, portNumber, text } from "./field.ts";
import { serviceHost } from "./host-name.ts";
import { addressOrCidr } from "./ip-block.ts";
import { workloadEntry } from "./workload-entry.ts";

/* `networking.istio.io ServiceEntry`, the structure alone; `service-entry-check.ts` holds its meaning. */

export const serviceEntry = object({
  hosts: v.pipe(
    v.array(serviceHost),
    v.minLength(1, "must name at least one host"),
    v.maxLength(256, "must name at most 256 hosts"),
  ),
  addresses: list(addressOrCidr),
  ports: list(object({
    number: portNumber,
    name: filledText,
    protocol: v.optional(text),
    targetPort: v.optional(portNumber),
  })),
  location: v.optional(oneOf("MESH_EXTERNAL", "MESH_INTERNAL"), "MESH_EXTERNAL"),
  resolution: v.optional(oneOf("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"), "NONE"),
  endpoints: list(workloadEntry),
  workloadSelector: v.optional(object({ labels: v.optional(labels, {}) })),
  /** Undefined: `["*"]`. */
  exportTo: filledList(filledText),
  subjectAltNames: list(text),
});

export type ServiceEntrySpec = v.InferOutput<typeof serviceEntry>;
