import type { SidecarIngress } from "../kinds/sidecar.ts";
import type { Path, Resource } from "../resource.ts";
import type { InboundPortSpec } from "../snapshot.ts";
import type { IngressTlsSpec } from "../snapshot-security.ts";
import type { TlsFilesAtHand } from "./originated-tls.ts";
import type { PortProtocol } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";

/** What is in TLS of these protocols. */
const INSIDE: Partial<Record<PortProtocol, PortProtocol>> = { HTTPS: "HTTP", TLS: "TCP" };

/** The TLS of an ingress entry, and the protocol inside of it. */
export interface IngressTls {
  readonly tls: IngressTlsSpec;
  readonly protocol: PortProtocol;
}

/**
 * The TLS that an ingress entry terminates for callers from outside of the mesh (spec/02 2.7): only where the port's mutual TLS
 * is off, since nobody can tell the two apart. Null where it is not terminated, which a problem says.
 */
export function ingressTls(
  { tls }: SidecarIngress, protocol: PortProtocol, mode: InboundPortSpec["mtls"], files: TlsFilesAtHand, sidecar: Resource, path: Path, problems: ProblemList,
): IngressTls | null {
  const inside = INSIDE[protocol];
  if (tls === undefined || inside === undefined) return null;
  if (mode !== "DISABLE") {
    problems.warning(sidecar, [...path, "tls"], `has no effect: PeerAuthentication is ${mode} for the port; write portLevelMtls with DISABLE for it`);
    return null;
  }
  const isMutual = tls.mode === "MUTUAL";
  const paths = { serverCertificate: tls.serverCertificate ?? "", privateKey: tls.privateKey ?? "", ...(isMutual ? { caCertificates: tls.caCertificates ?? "" } : {}) };
  const digests = Object.entries(paths).map(([field, file]) => digestOf(field, file, files, sidecar, [...path, "tls", field], problems));
  return {
    protocol: inside,
    tls: {
      mode: isMutual ? "MUTUAL" : "SIMPLE",
      certificatePath: paths.serverCertificate, privateKeyPath: paths.privateKey, caCertificatesPath: isMutual ? tls.caCertificates ?? "" : null,
      leastVersion: tls.minProtocolVersion === "TLSV1_3" ? "TLSv1.3" : "TLSv1.2",
      filesDigest: digests.join(" "),
    },
  };
}

/** Empty where nothing is known of the file. What cannot be read refuses connections, when they come. */
function digestOf(field: string, file: string, { digest }: TlsFilesAtHand, sidecar: Resource, path: Path, problems: ProblemList): string {
  const state = digest?.(file);
  if (state === undefined) return "";
  if (state.problem !== null) {
    const instead = state.digest === null ? "connections to this port are refused" : "what was read before stays in use";
    problems.error(sidecar, path, `${field} ${file} ${state.problem}: ${instead}`);
  }
  return state.digest ?? "";
}
