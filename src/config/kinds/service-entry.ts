import * as v from "valibot";
import { filledList, filledText, labels, list, object, oneOf, portNumber, text } from "./field.ts";
import { serviceHost } from "./host-name.ts";
import { addressOrCidr } from "./ip-block.ts";
import { WORKLOAD_ENTRY_UNSUPPORTED, workloadEntry } from "./workload-entry.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

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

/** Accepted, and not obeyed. */
export const SERVICE_ENTRY_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "resolution", when: (value) => value === "DYNAMIC_DNS", consequence: "names are not resolved per request; this service has no endpoints" },
  ...WORKLOAD_ENTRY_UNSUPPORTED.map((field) => ({ ...field, path: `endpoints[].${field.path}` })),
];
