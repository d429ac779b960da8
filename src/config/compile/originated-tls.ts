import type { ClientTls } from "../kinds/destination-rule.ts";
import type { OriginatedTlsSpec } from "../snapshot-cluster.ts";
import type { Block } from "./effective-policy.ts";
import { isWildcard } from "./host-name.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Service, ServicePort } from "./service.ts";

/** What is known of a file that a configuration names. */
export interface FileState {
  /** Of the content that is in use, which is an older one where there is a problem; null: it was never read. */
  readonly digest: string | null;
  /** Why it cannot be used as it is now; null: it can. */
  readonly problem: string | null;
}

/** Reads a file for its digest. */
export type FileDigest = (path: string) => FileState;

/** The fields that name files. */
const FILES = ["caCertificates", "caCrl", "clientCertificate", "privateKey"] as const;

/**
 * TLS of mode SIMPLE or MUTUAL towards one port of a service (spec/04 4.7). A certificate is always checked for a name: the
 * `subjectAltNames`, else the `sni`, else the request's host, else the service's. Istio checks none where only `sni` is
 * set, or where opaque bytes are sent.
 *
 * @param fileDigest null where the files are not at hand: somebody checks a configuration that is to run elsewhere.
 * @returns null when nothing may be sent: the problem says why.
 */
export function originatedTls(
  service: Service, port: ServicePort, block: Block<ClientTls>, mode: "SIMPLE" | "MUTUAL", fileDigest: FileDigest | null, problems: ProblemList,
): OriginatedTlsSpec | null {
  const { value: tls, resource, path } = block;
  const refuse = (field: string, reason: string): null => {
    problems.error(resource, [...path, field], `${reason}: connections to ${service.host} port ${port.number} are refused, never sent in plain text`);
    return null;
  };
  // The kind's own check has said so.
  if (given(tls.credentialName) !== null) return null;
  const files: Record<(typeof FILES)[number], string | null> = { caCertificates: null, caCrl: null, clientCertificate: null, privateKey: null };
  const digests: string[] = [];
  for (const field of FILES) {
    const file = given(tls[field]);
    if (file !== null && mode === "SIMPLE" && (field === "clientCertificate" || field === "privateKey")) {
      problems.warning(resource, [...path, field], "has no effect with mode SIMPLE: no certificate is shown");
      continue;
    }
    files[field] = file;
    if (file === null || fileDigest === null) continue;
    const { digest, problem } = fileDigest(file);
    if (digest === null) return refuse(field, `${file} ${problem ?? "was not read"}`);
    if (problem !== null) problems.error(resource, [...path, field], `${file} ${problem}: what was read before stays in use`);
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
