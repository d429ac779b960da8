import * as v from "valibot";
import { filePath, filledText, flag, list, object, oneOf, text } from "./field.ts";

const version = oneOf("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3");

/** `ServerTLSSettings` of Sidecar and Gateway. */
export const serverTls = object({
  httpsRedirect: v.optional(flag),
  mode: v.optional(oneOf("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"), "PASSTHROUGH"),
  serverCertificate: v.optional(filePath),
  privateKey: v.optional(filePath),
  caCertificates: v.optional(filePath),
  caCrl: v.optional(filePath),
  credentialName: v.optional(text),
  credentialNames: list(filledText),
  caCertCredentialName: v.optional(text),
  tlsCertificates: list(object({ serverCertificate: v.optional(filePath), privateKey: v.optional(filePath), caCertificates: v.optional(filePath) })),
  subjectAltNames: list(text),
  insecureSkipVerify: v.optional(flag),
  verifyCertificateSpki: list(text),
  verifyCertificateHash: list(text),
  minProtocolVersion: v.optional(version),
  maxProtocolVersion: v.optional(version),
  cipherSuites: list(text),
});
