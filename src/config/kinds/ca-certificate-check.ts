import { readCertificate } from "../../identity/certificate-reader.ts";
import { parseSpiffeId, trustDomainProblem } from "../../identity/spiffe-id.ts";
import { readTrustBundle } from "../../identity/trust-store.ts";
import type { Path } from "../resource.ts";
import type { MeshConfigSpec } from "./mesh-config.ts";
import type { Report } from "./report.ts";

type CaCertificate = MeshConfigSpec["caCertificates"][number];

const DEFAULT_TRUST_DOMAIN = "cluster.local";

/** The URL that a `spiffeBundleUrl` means: as in Istio it may lack its scheme. */
export function bundleUrl(text: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
}

/** The rules of `caCertificates` and of `defaultConfig.caCertificatesPem`: what is trusted must be what its author meant. */
export function checkCaCertificates(spec: MeshConfigSpec, report: Report): void {
  const own = spec.trustDomain ?? DEFAULT_TRUST_DOMAIN;
  spec.caCertificates.forEach((entry, index) => checkEntry(entry, own, ["caCertificates", index], report));
  (spec.defaultConfig?.caCertificatesPem ?? []).forEach((pem, index) => checkPem(pem, [own], ["defaultConfig", "caCertificatesPem", index], report));
}

function checkEntry({ pem, spiffeBundleUrl, trustDomains }: CaCertificate, own: string, path: Path, report: Report): void {
  if (pem !== undefined && spiffeBundleUrl !== undefined) report.error(path, "set only one of pem and spiffeBundleUrl");
  if (!pem && !spiffeBundleUrl) report.warn(path, "has no effect: it has neither pem nor spiffeBundleUrl");
  trustDomains.forEach((domain, at) => {
    const problem = trustDomainProblem(domain);
    if (problem !== null) report.error([...path, "trustDomains", at], `is not a trust domain: ${problem}`);
  });
  if (pem) checkPem(pem, trustDomains.length === 0 ? [own] : trustDomains, [...path, "pem"], report);
  if (!spiffeBundleUrl) return;
  const fault = urlFault(spiffeBundleUrl);
  if (fault !== null) report.error([...path, "spiffeBundleUrl"], fault);
  if (trustDomains.length === 0) {
    report.warn([...path, "spiffeBundleUrl"], "its roots count for our own trust domain: whoever publishes them can be any workload of this mesh; name the domain in trustDomains if it is another's");
  }
}

/** Whether somebody may be asked for roots there: only over TLS, since in plain text they are whoever's is on the way. */
function urlFault(text: string): string | null {
  const url = bundleUrl(text);
  if (!URL.canParse(url)) return `is not a URL: ${JSON.stringify(text)}`;
  const { protocol, username, password } = new URL(url);
  if (protocol !== "https:") return "must be an https URL: roots that come in plain text are whoever's is on the way";
  return username === "" && password === "" ? null : "must not hold a name or a password";
}

function checkPem(pem: string, trustDomains: readonly string[], path: Path, report: Report): void {
  let roots: ReturnType<typeof readTrustBundle>;
  try {
    roots = readTrustBundle(pem);
  } catch (error) {
    report.error(path, `is not a bundle of roots: ${(error as Error).message}`);
    return;
  }
  for (const { x509 } of roots) {
    const named = readCertificate(x509.raw).uris.map((uri) => parseSpiffeId(uri)).find((id) => typeof id !== "string");
    if (named === undefined || typeof named === "string" || trustDomains.includes(named.trustDomain)) continue;
    report.warn(path, `holds a root that says it is of trust domain ${JSON.stringify(named.trustDomain)}, and counts for ${trustDomains.join(", ")}: whoever has its key can be any workload there`);
  }
}
