import type { ClientTls } from "../kinds/destination-rule.ts";
import type { RefusalSpec } from "../snapshot.ts";
import type { OriginatedTlsSpec } from "../snapshot-cluster.ts";
import type { Block } from "./effective-policy.ts";
import { isWildcard } from "./host-name.ts";
import type { ProblemList } from "./problem-list.ts";
import { provenanceOf } from "./resource-order.ts";
import type { Service, ServicePort } from "./service.ts";
import { TLS_FILE_FIELDS, type TlsFileField, tlsFileNames } from "./tls-credential.ts";

/** What is known of a file that a configuration names. */
export interface FileState {
  /** Of the content that is in use, which is an older one where there is a problem; null: it was never read. */
  readonly digest: string | null;
  /** Why it cannot be used as it is now; null: it can. */
  readonly problem: string | null;
}

/** Reads a file for its digest. */
export type FileDigest = (path: string) => FileState;

/** Where the files are that TLS origination needs. */
export interface TlsFilesAtHand {
  /** Null where they are not at hand: somebody checks a configuration that is to run elsewhere. */
  readonly digest: FileDigest | null;
  /** Of `--certs`, below which Secrets are mounted; undefined: where a pod has it. */
  readonly certificateDirectory: string | undefined;
}

/**
 * TLS of mode SIMPLE or MUTUAL towards one port of a service (spec/04 4.7). A certificate is always checked for a name: the
 * `subjectAltNames`, else the `sni`, else the request's host, else the service's. Istio checks none where only `sni` is
 * set, or where opaque bytes are sent.
 *
 * @returns `refusal` when nothing may be sent, which the problem says as well.
 */
export function originatedTls(
  service: Service, port: ServicePort, block: Block<ClientTls>, mode: "SIMPLE" | "MUTUAL", atHand: TlsFilesAtHand, problems: ProblemList,
): OriginatedTlsSpec | { readonly refusal: RefusalSpec } {
  const { value: tls, resource, path } = block;
  const refuse = (field: string, reason: string): { readonly refusal: RefusalSpec } => {
    problems.error(resource, [...path, field], `${reason}: connections to ${service.host} port ${port.number} are refused, never sent in plain text`);
    return { refusal: { reason: `${field}: ${reason}`, provenance: provenanceOf(resource, path, null) } };
  };
  const named = tlsFileNames(tls, mode, atHand.certificateDirectory);
  if (named.refusal !== null) return refuse(named.refusal.field, named.refusal.reason);
  const files: Record<TlsFileField, string | null> = { caCertificates: null, caCrl: null, clientCertificate: null, privateKey: null };
  const digests: string[] = [];
  for (const field of TLS_FILE_FIELDS) {
    const file = named.files[field];
    if (file !== null && mode === "SIMPLE" && (field === "clientCertificate" || field === "privateKey")) {
      problems.warning(resource, [...path, field], "has no effect with mode SIMPLE: no certificate is shown");
      continue;
    }
    files[field] = file?.path ?? null;
    if (file === null || atHand.digest === null) continue;
    const { digest, problem } = atHand.digest(file.path);
    if (digest === null) return refuse(file.field, `${file.path} ${problem ?? "was not read"}`);
    if (problem !== null) problems.error(resource, [...path, file.field], `${file.path} ${problem}: what was read before stays in use`);
    digests.push(digest);
  }
  if (tls.insecureSkipVerify === true) {
    problems.warning(resource, [...path, "insecureSkipVerify"], `SECURITY: whoever answers for ${service.host} port ${port.number} is believed: its certificate is not verified`);
  }
  return {
    mode,
    serverName: given(tls.sni)?.toLowerCase() ?? null,
    subjectAltNames: tls.subjectAltNames.length > 0 ? tls.subjectAltNames : service.subjectAltNames,
    fallbackName: isWildcard(service.host) ? null : service.host,
    caCertificatesPath: files.caCertificates,
    crlPath: files.caCrl,
    clientCertificatePath: files.clientCertificate,
    privateKeyPath: files.privateKey,
    filesDigest: digests.join(" "),
    insecureSkipVerify: tls.insecureSkipVerify === true,
  };
}

function given(text: string | undefined): string | null {
  return text === undefined || text === "" ? null : text;
}
