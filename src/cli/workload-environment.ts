import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { trustDomainProblem } from "../identity/spiffe-id.ts";

const LABELS_FILE = "/etc/podinfo/labels";

/**
 * Who we are, as the pod's environment says: POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, INSTANCE_IP, POD_LABELS or the
 * downward-API file POD_LABELS_FILE, TRUST_DOMAIN, NODE_NAME, OUTRIDER_LOCALITY. What is missing has the defaults of `outrider proxy --help`.
 *
 * @throws Error for a TRUST_DOMAIN that is none: `*` would make policies mean everybody's.
 */
export function workloadFromEnvironment(environment: NodeJS.ProcessEnv, hostName: string): WorkloadIdentity {
  const value = (name: string): string | undefined => (environment[name] === "" ? undefined : environment[name]);
  const addresses = value("INSTANCE_IP")?.split(",").map((address) => address.trim()).filter((address) => address !== "");
  return {
    podName: value("POD_NAME") ?? hostName,
    namespace: value("POD_NAMESPACE") ?? "default",
    serviceAccount: value("SERVICE_ACCOUNT") ?? "default",
    addresses: addresses ?? hostAddresses(),
    labels: readLabels(value("POD_LABELS"), value("POD_LABELS_FILE") ?? LABELS_FILE),
    trustDomain: readTrustDomain(value("TRUST_DOMAIN")),
    locality: value("OUTRIDER_LOCALITY") ?? null,
    nodeName: value("NODE_NAME") ?? null,
  };
}

function readTrustDomain(name: string | undefined): string | null {
  if (name === undefined) return null;
  const problem = trustDomainProblem(name);
  if (problem !== null) throw new Error(`TRUST_DOMAIN ${JSON.stringify(name)}: ${problem}`);
  return name;
}

/** The host's own addresses, loopback and link-local ones left out. */
function hostAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  return all.filter((entry) => !entry.internal && !entry.address.toLowerCase().startsWith("fe80:")).map((entry) => entry.address);
}

function readLabels(inline: string | undefined, file: string): Record<string, string> {
  if (inline !== undefined) return Object.fromEntries(inline.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "").map(splitLabel));
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    // No downward API is mounted: the pod has no labels that we know of.
    return {};
  }
  return Object.fromEntries(text.split("\n").filter((line) => line.includes("=")).map(splitLabel));
}

/** `key=value`; the downward API writes `key="value"` with Go's escapes, which label values never need. */
function splitLabel(entry: string): [string, string] {
  const at = entry.indexOf("=");
  const key = at < 0 ? entry : entry.slice(0, at);
  const value = at < 0 ? "" : entry.slice(at + 1).trim();
  return [key.trim(), value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value];
}
