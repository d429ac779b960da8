import * as v from "valibot";
import { filledText, labels, list, object, portNumber, text } from "./field.ts";
import { serverTls } from "./server-tls.ts";

export const gateway = object({
  selector: v.optional(labels),
  servers: list(object({
    name: v.optional(text),
    port: object({ number: portNumber, name: filledText, protocol: filledText, targetPort: v.optional(portNumber) }),
    bind: v.optional(text),
    hosts: v.pipe(v.array(filledText), v.minLength(1, "must name at least one host")),
    tls: v.optional(serverTls),
    defaultEndpoint: v.optional(text),
  })),
});

export type GatewaySpec = v.InferOutput<typeof gateway>;
