import * as v from "valibot";
import { integer, mapOf, object, text } from "./field.ts";
import { selector } from "./policy-target.ts";

export const proxyConfig = object({
  selector: v.optional(selector),
  concurrency: v.optional(integer(0, 2_147_483_647)),
  environmentVariables: mapOf(text),
  image: v.optional(object({ imageType: v.optional(text) })),
});

export type ProxyConfigSpec = v.InferOutput<typeof proxyConfig>;
