import * as v from "valibot";
import { filledText, labels, list, object, text } from "./field.ts";
import type { Report } from "./report.ts";

/** `selector` of the security and telemetry kinds: pods whose labels include all of these. */
export const selector = object({ matchLabels: v.optional(labels, {}) });

const targetRef = object({
  group: v.optional(v.pipe(text, v.regex(/^(?:[a-z0-9][-a-z0-9.]*)?$/, "must be an API group, such as gateway.networking.k8s.io"))),
  kind: v.pipe(text, v.regex(/^[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/, "must be the name of a kind")),
  name: filledText,
  namespace: v.optional(v.literal("", "must be left out: a policy and its target are in one namespace")),
});

/** How a policy says whom it applies to. `targetRef` and `targetRefs` are for gateways and waypoints. */
export const policyTarget = {
  selector: v.optional(selector),
  targetRef: v.optional(targetRef),
  targetRefs: list(targetRef),
};

/** A policy names its target in one way, or not at all. */
export function checkOneTarget(spec: { readonly selector?: unknown; readonly targetRef?: unknown; readonly targetRefs: readonly unknown[] }, report: Report): void {
  const ways = [spec.selector !== undefined, spec.targetRef !== undefined, spec.targetRefs.length > 0].filter(Boolean);
  if (ways.length > 1) report.error([], "set only one of selector, targetRef and targetRefs");
}
