import { splitPem } from "../identity/pem.ts";
import type { Validity } from "./certificate-validity.ts";
import { percentLeft, type CertificateWatch } from "./certificate-watch.ts";
import { lifeLeft } from "./life-left.ts";

/** `/certs`: our certificate and the bundles with how long each holds, and the time by this host; never a key. */
export function certificatePage(watch: CertificateWatch, nowMs: number): Readonly<Record<string, unknown>> {
  const { material, watched, roots } = watch;
  const now = new Date(nowMs).toISOString();
  if (material === null) return { clock: now, certificates: [], bundles: [] };
  const { spiffeId, generation, certificateChainPem, bundles } = material;
  const [leaf, issuer] = (["leaf", "issuer"] as const).map((kind) => watched.find((certificate) => certificate.kind === kind));
  return {
    clock: now,
    certificates: [{
      spiffeId, generation, ...times(material, nowMs), ...(leaf === undefined ? {} : { percentLeft: percentLeft(leaf, nowMs) }),
      ...(issuer === undefined ? {} : { issuer: { name: issuer.name, ...times(issuer, nowMs) } }), chain: certificatesOf(certificateChainPem),
    }],
    bundles: bundles.map((bundle) => ({
      ...bundle, pem: certificatesOf(bundle.pem),
      roots: roots.filter(({ trustDomain }) => trustDomain === bundle.trustDomain).map((root) => ({ subject: root.subject, sha256: root.sha256, ...times(root, nowMs) })),
    })),
  };
}

/** A file of certificates may hold their key as well; that is not for this page. */
function certificatesOf(pem: string): string {
  return splitPem(pem, "CERTIFICATE").join("");
}

function times(validity: Validity, nowMs: number): Readonly<Record<string, string | number>> {
  return {
    validFrom: new Date(validity.notBeforeMs).toISOString(),
    expires: new Date(validity.notAfterMs).toISOString(),
    secondsLeft: Math.round((validity.notAfterMs - nowMs) / 1000),
    state: STATES[lifeLeft(validity, nowMs)],
  };
}

const STATES = {
  "enough": "valid", "third": "valid, less than 30 % left", "tenth": "valid, less than 10 % left", "hundredth": "valid, less than 1 % left", "expired": "expired", "not-yet-valid": "not yet valid",
} as const;
