import * as v from "valibot";
import { connectionPool } from "./connection-pool.ts";
import { filledText, labels, list, object, oneOf, portNumber, text } from "./field.ts";
import { serverTls } from "./server-tls.ts";
import { destination } from "./virtual-service.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `networking.istio.io Sidecar`, the structure alone; `sidecar-check.ts` holds its meaning. */

const port = object({
  number: portNumber,
  name: v.optional(text),
  protocol: v.optional(text),
  targetPort: v.optional(portNumber),
});
const captureMode = v.optional(oneOf("DEFAULT", "IPTABLES", "NONE"), "DEFAULT");

export const sidecar = object({
  workloadSelector: v.optional(object({ labels: v.optional(labels, {}) })),
  ingress: list(object({
    port,
    bind: v.optional(text),
    captureMode,
    /** `127.0.0.1:PORT`, `[::1]:PORT`, `0.0.0.0:PORT`, `[::]:PORT`, `unix:///path`; undefined: the pod's own address. */
    defaultEndpoint: v.optional(text),
    tls: v.optional(serverTls),
    connectionPool: v.optional(connectionPool),
  })),
  egress: list(object({
    port: v.optional(port),
    bind: v.optional(text),
    captureMode,
    /** `namespace/dnsName`, each. */
    hosts: v.pipe(v.array(filledText), v.minLength(1, "must name at least one host")),
  })),
  inboundConnectionPool: v.optional(connectionPool),
  outboundTrafficPolicy: v.optional(object({
    mode: v.optional(oneOf("REGISTRY_ONLY", "ALLOW_ANY"), "REGISTRY_ONLY"),
    egressProxy: v.optional(destination),
  })),
});

export type SidecarSpec = v.InferOutput<typeof sidecar>;
export type SidecarIngress = SidecarSpec["ingress"][number];
export type SidecarEgress = SidecarSpec["egress"][number];

const isUnix = (value: unknown): boolean => typeof value === "string" && value.startsWith("unix://");

/** Accepted, and not obeyed. */
export const SIDECAR_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "ingress[].tls.caCrl", consequence: "SECURITY: certificates that were revoked are taken" },
  { path: "ingress[].tls.verifyCertificateSpki", consequence: "SECURITY: every certificate that the authorities vouch for is taken" },
  { path: "ingress[].tls.verifyCertificateHash", consequence: "SECURITY: every certificate that the authorities vouch for is taken" },
  { path: "ingress[].tls.cipherSuites", consequence: "the cipher suites are those of the mesh" },
  { path: "ingress[].tls.maxProtocolVersion", consequence: "TLS 1.3 is spoken to who can" },
  { path: "ingress[].tls.minProtocolVersion", when: (value) => value === "TLSV1_0" || value === "TLSV1_1", consequence: "TLS 1.2 is the oldest that is spoken" },
  { path: "ingress[].bind", when: isUnix, consequence: "unix sockets are not listened on; this entry is not used" },
  { path: "ingress[].defaultEndpoint", when: isUnix, consequence: "unix sockets are not dialled; this entry is not used" },
  { path: "egress[].bind", when: isUnix, consequence: "unix sockets are not listened on; this entry is not used" },
];
