import * as v from "valibot";
import { integer, mapOf, object, text } from "./field.ts";
import { checkProxyStart } from "./proxy-environment.ts";
import { selector } from "./policy-target.ts";
import type { Report } from "./report.ts";
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

/** Accepted, and not obeyed. */
export const PROXY_CONFIG_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "image", consequence: "the image is whatever runs already" },
];

/** Names what of it has no effect. */
export function checkProxyConfig(spec: ProxyConfigSpec, report: Report): void {
  checkProxyStart(spec.concurrency, spec.environmentVariables, { concurrency: ["concurrency"], environment: ["environmentVariables"] }, report);
}
