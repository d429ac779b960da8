import type { Report } from "./report.ts";
import type { PeerAuthenticationSpec } from "./peer-authentication.ts";

/** `spec/05` 5.2: modes by port need a selector, and are keyed by workload port. */
export function checkPeerAuthentication(spec: PeerAuthenticationSpec, report: Report): void {
  const ports = spec.portLevelMtls;
  if (ports === undefined) return;
  if (Object.keys(ports).length === 0) report.error(["portLevelMtls"], "must not be empty; leave the field out instead");
  if (Object.keys(spec.selector?.matchLabels ?? {}).length === 0) report.error(["portLevelMtls"], "needs a selector with labels");
  for (const key of Object.keys(ports)) {
    const isPort = /^[1-9]\d{0,4}$/.test(key) && Number(key) <= 65_535;
    if (!isPort) report.error(["portLevelMtls", key], `${JSON.stringify(key)} is not a port number from 1 to 65535`);
  }
}
