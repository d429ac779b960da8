import * as v from "valibot";
import { labels, mapOf, object, portNumber, text, uint32 } from "./field.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

const maxText = (length: number) => v.pipe(text, v.maxLength(length, `must be at most ${length} characters long`));

/** One endpoint: a WorkloadEntry, or an entry of `ServiceEntry.endpoints`. */
export const workloadEntry = object({
  /** IP address; host name where the service resolves by DNS; `unix:///path`. */
  address: v.optional(maxText(256)),
  /** Service port name to endpoint port. */
  ports: mapOf(portNumber),
  labels: v.optional(labels, {}),
  network: v.optional(maxText(2048)),
  /** `region/zone/subzone`. */
  locality: v.optional(maxText(2048)),
  weight: v.optional(uint32),
  serviceAccount: v.optional(maxText(253)),
});

export type WorkloadEntrySpec = v.InferOutput<typeof workloadEntry>;

/** Accepted, and not obeyed. */
export const WORKLOAD_ENTRY_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "network", consequence: "the address is dialled directly, whatever network it is in" },
  {
    path: "address", when: (value) => typeof value === "string" && value.startsWith("unix://"),
    consequence: "unix sockets are not dialled; this endpoint is not used",
  },
];
