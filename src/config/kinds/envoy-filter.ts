import * as v from "valibot";
import { anyMapping, int32, labels, list, object } from "./field.ts";

/** `networking.istio.io EnvoyFilter`; the patches themselves are not read. */
export const envoyFilter = object({
  workloadSelector: v.optional(object({ labels: v.optional(labels, {}) })),
  targetRefs: list(anyMapping),
  configPatches: list(anyMapping),
  priority: v.optional(int32),
});

export type EnvoyFilterSpec = v.InferOutput<typeof envoyFilter>;
