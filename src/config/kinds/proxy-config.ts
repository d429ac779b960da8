import * as v from "valibot";
import { integer, mapOf, object, text } from "./field.ts";
import { selector } from "./policy-target.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

const value = v.pipe(text, v.maxLength(2048, "must be at most 2048 characters long"));

/** `networking.istio.io ProxyConfig`: how a sidecar is started; a running one takes nothing from it, in Istio neither. */
export const proxyConfig = object({
  selector: v.optional(selector),
  /** Data threads; 0: one for each CPU. */
  concurrency: v.optional(integer(0, 2_147_483_647)),
  environmentVariables: mapOf(value),
  image: v.optional(object({ imageType: v.optional(text) })),
});

export type ProxyConfigSpec = v.InferOutput<typeof proxyConfig>;

/** Accepted, and not obeyed yet. */
export const PROXY_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "concurrency", consequence: "the number of data threads stays as it is; use --concurrency or OUTRIDER_CONCURRENCY" },
  { path: "environmentVariables", consequence: "a running process takes no environment from here; set it on the container" },
  { path: "image", consequence: "the image is whatever runs already" },
];
