import * as v from "valibot";
import { filledText, flag, list, object, oneOf, text } from "./field.ts";

const version = oneOf("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3");

/** `ServerTLSSettings` of Sidecar and Gateway. */
export const serverTls = object({
  httpsRedirect: v.optional(flag),
  mode: v.optional(oneOf("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"), "PASSTHROUGH"),
  serverCertificate: v.optional(text),
  privateKey: v.optional(text),
  caCertificates: v.optional(text),
  caCrl: v.optional(text),
  credentialName: v.optional(text),
  credentialNames: list(filledText),
  caCertCredentialName: v.optional(text),
  tlsCertificates: list(object({ serverCertificate: v.optional(text), privateKey: v.optional(text), caCertificates: v.optional(text) })),
  subjectAltNames: list(text),
  insecureSkipVerify: v.optional(flag),
  verifyCertificateSpki: list(text),
  verifyCertificateHash: list(text),
  minProtocolVersion: v.optional(version),
  maxProtocolVersion: v.optional(version),
  cipherSuites: list(text),
});
