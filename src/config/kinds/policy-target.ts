import * as v from "valibot";
import { filledText, labels, list, object, text } from "./field.ts";

/** `selector` of the security and telemetry kinds: pods whose labels include all of these. */
export const selector = object({ matchLabels: v.optional(labels, {}) });

const targetRef = object({
  group: v.optional(text),
  kind: filledText,
  name: filledText,
  namespace: v.optional(text),
});

/** How a policy says whom it applies to. `targetRef` and `targetRefs` are for gateways and waypoints. */
export const policyTarget = {
  selector: v.optional(selector),
  targetRef: v.optional(targetRef),
  targetRefs: list(targetRef),
};
