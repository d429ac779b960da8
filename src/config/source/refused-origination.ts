import { hostNameFault } from "../kinds/host-name.ts";
import { fieldOf } from "./field-of.ts";
import type { RefusedOrigination } from "./parsed.ts";
import type { ValueFault, YamlValue } from "./yaml-value.ts";

/** Blocks of a DestinationRule on the way to its `tls` blocks. */
const CONTAINERS: ReadonlySet<string | number> = new Set(["spec", "trafficPolicy", "portLevelSettings", "subsets"]);
/** Fields that only a `tls` block has: their own block may be misspelt, or missing. */
const FIELDS_OF_TLS: ReadonlySet<string> = new Set([
  "mode", "clientCertificate", "privateKey", "caCertificates", "credentialName", "subjectAltNames", "sni", "insecureSkipVerify", "caCrl",
]);
/** What a user chooses the keys of. */
const FREE_KEYS: ReadonlySet<string> = new Set(["metadata", "labels", "matchLabels", "workloadSelector"]);
const LIKE_TLS = /tls|tsl|ssl/i;

/**
 * For whom a DestinationRule that was refused would have decided about TLS. Null where there is no `tls` in it: then it
 * is only traffic policy that is missing, such as limits or a load balancer, and nothing is called less safely for that.
 */
export function refusedOrigination(raw: Pick<YamlValue, "value" | "faults">): RefusedOrigination | null {
  if (!hasTls(raw.value, true) && !raw.faults.some(isAboveTls)) return null;
  const spec = fieldOf(raw.value, "spec");
  const host = fieldOf(spec, "host");
  const exportTo = fieldOf(spec, "exportTo") ?? [];
  return {
    host: typeof host === "string" && hostNameFault(host, { allowsWildcard: true }) === null ? host : null,
    exportTo: Array.isArray(exportTo) && exportTo.every((entry) => typeof entry === "string") ? exportTo : ["*"],
    labels: labelsOf(fieldOf(spec, "workloadSelector")),
  };
}

/** `isContainer`: what is neither a mapping nor a list here may have been one with `tls` in it. */
function hasTls(value: unknown, isContainer: boolean): boolean {
  if (value === null) return false;
  if (typeof value !== "object") return isContainer;
  if (Array.isArray(value)) return value.some((entry) => hasTls(entry, isContainer));
  return Object.entries(value).some(([key, child]) => {
    if (FREE_KEYS.has(key)) return false;
    if (child !== null && (LIKE_TLS.test(key) || FIELDS_OF_TLS.has(key))) return true;
    return hasTls(child, CONTAINERS.has(key));
  });
}

/** A field was left out of a block where `tls` stands: it may have been that, or its like. */
function isAboveTls({ path }: ValueFault): boolean {
  return path.every((segment) => typeof segment === "number" || CONTAINERS.has(segment));
}

/** `{}` where they cannot be made out: everybody's. */
function labelsOf(workloadSelector: unknown): Readonly<Record<string, string>> {
  const labels = fieldOf(workloadSelector, "matchLabels");
  if (typeof labels !== "object" || labels === null) return {};
  return Object.values(labels).every((label) => typeof label === "string") ? (labels as Readonly<Record<string, string>>) : {};
}
