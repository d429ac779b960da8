import * as v from "valibot";
import { object, oneOf } from "./field.ts";
import { selector } from "./policy-target.ts";

const mutualTls = object({ mode: v.optional(oneOf("UNSET", "DISABLE", "PERMISSIVE", "STRICT"), "UNSET") });

export const peerAuthentication = object({
  selector: v.optional(selector),
  mtls: v.optional(mutualTls),
  /** Workload port, in decimal, to its mode. */
  portLevelMtls: v.optional(v.record(v.string(), mutualTls)),
});

export type PeerAuthenticationSpec = v.InferOutput<typeof peerAuthentication>;
