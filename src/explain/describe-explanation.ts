import { visibleLine } from "../core/visible-text.ts";
import { PEER_METADATA_HEADER, PEER_METADATA_ID_HEADER } from "../telemetry/peer-metadata.ts";
import type { ExplainedCluster, ExplainedFilter, ExplainedRetries, Explanation, SentRequest, TriedRoute, WrittenAt } from "./explanation.ts";
import type { ExplainRequest } from "./explain-request.ts";

/** Long, and of no interest to a reader. */
const PEER_METADATA: ReadonlySet<string> = new Set([PEER_METADATA_ID_HEADER, PEER_METADATA_HEADER]);
/** A value longer than this says nothing to a reader. */
const MAX_VALUE_LENGTH = 80;
const MAX_ENDPOINTS = 5;

/**
 * An explanation as a person reads it: what happens and because of which line, where it goes, what was tried before, what
 * is sent. Ends with a line break.
 */
export function describeExplanation(explanation: Explanation, request: ExplainRequest): string {
  const isUnread = explanation.protocol === "tcp" && request.protocol === "http";
  const lines = [
    outcome(explanation, subject(explanation, request), isUnread ? " unread, as opaque bytes" : ""),
    ...unknownLines(explanation),
    ...clusterLines(explanation),
    ...mirrorLines(explanation),
    ...limitLines(explanation),
    ...filterLines(explanation),
    ...triedLines(explanation),
    ...sentLines(explanation.request),
    ...answerLines(explanation),
  ];
  // A value of the input is never a line of its own.
  return lines.map((line) => `${visibleLine(line)}\n`).join("");
}

function subject({ destination, direction, mtls }: Explanation, request: ExplainRequest): string {
  const what = request.protocol === "tcp" ? `An opaque ${direction} connection` : `${request.method} ${request.url ?? ""}`;
  const from = direction === "outbound" ? "" : ` from ${mtls?.peer ?? (request.from === null ? "a caller without identity" : `${request.from}, which the connection does not prove,`)}`;
  return `${what}${from} to ${destination}`;
}

function outcome(explanation: Explanation, what: string, how: string): string {
  const { verdict, status, flag, details, route, filters, protocol } = explanation;
  const code = flag === "-" ? "" : `, flag ${flag}`;
  switch (verdict) {
    case "route":
      return `${what} is sent on${how}${byRoute(explanation)}${ifAllowed(filters)}.`;
    case "reply": {
      const gate = filters.find((filter) => filter.verdict === "reply");
      const by = gate === undefined ? (route === null ? "" : byRoute(explanation)) : ` by ${gate.name}${at(gate)}`;
      return `${what} is answered by the proxy itself with ${status}${by} (${details}${code}).`;
    }
    case "deny": {
      const gate = filters.find((filter) => filter.verdict === "deny");
      const told = protocol === "tcp" ? "and the connection closed" : `with ${status}`;
      return `${what} is denied ${told} (${details}). ${gate === undefined ? "" : denial(gate)}`.trimEnd();
    }
    case "reset": {
      const gate = filters.find((filter) => filter.verdict === "deny");
      return `${what} ends without an answer: ${gate?.reason ?? details}${gate === undefined ? "" : source(gate)}${code}.`;
    }
  }
}

/** What somebody who was not asked has to say first. */
function ifAllowed(filters: Explanation["filters"]): string {
  const provider = filters.find((filter) => filter.provider !== undefined)?.provider;
  return provider === undefined ? "" : `, if provider ${JSON.stringify(provider)} allows it`;
}

/** Whoever sees this had most likely a service in mind. */
function unknownLines({ direction, route, protocol }: Explanation): string[] {
  const isCatchAll = direction === "outbound" && protocol === "http" && route?.resource === null && (route.name === "allow_any" || route.name === "block_all");
  return isCatchAll ? ["No service that this workload sees has this host on this port; --namespace, --labels and the Sidecar resource say what it sees."] : [];
}

function denial({ name, reason, nearMiss, ...place }: ExplainedFilter): string {
  if (nearMiss !== null || place.resource === null) return capitalised(`${reason ?? name}.`);
  return `${place.resource}${at(place)} says so: ${reason}.`;
}

function byRoute({ route }: Explanation): string {
  if (route === null) return "";
  if (route.resource === null) return route.name === "" ? "" : ` by the ${JSON.stringify(route.name)} route, which no VirtualService wrote`;
  const name = route.name === "" ? "" : ` ${JSON.stringify(route.name)}`;
  const root = route.delegatedBy === undefined ? "" : `, to which ${route.delegatedBy} delegates`;
  return ` by rule ${route.rule}${name} of ${route.resource}${at(route)}${root}`;
}

function at({ file, line }: Pick<WrittenAt, "file" | "line">): string {
  return file === null ? "" : ` (${file}:${line})`;
}

function source({ resource, ...place }: WrittenAt): string {
  return resource === null ? "" : `, as ${resource}${at(place)} says`;
}

function clusterLines({ clusters, verdict }: Explanation): string[] {
  if (clusters.length === 0) return [];
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  const shares = clusters.map((cluster) => {
    const share = clusters.length === 1 || total === 0 ? "" : `${Number(((cluster.weight / total) * 100).toFixed(2))} % `;
    return `  ${share}to ${cluster.name}${endpointsOf(cluster)}`;
  });
  return [verdict === "route" ? "It goes" : "It would go", ...shares];
}

const TRANSPORTS: Readonly<Record<ExplainedCluster["transport"], string>> = {
  plaintext: "", mtls: " with mutual TLS", mixed: " with mutual TLS where they take it", tls: " with TLS that is originated", refused: "",
};

function endpointsOf({ endpoints, standby = [], unhealthy, transport, refusal }: ExplainedCluster): string {
  if (refusal !== undefined) {
    const rule = refusal.resource === null ? "" : `tls of ${refusal.resource}${at(refusal)}: `;
    return `, to which nothing is sent because ${rule}${refusal.reason}`;
  }
  const further = standby.length === 0 ? "" : `, and to ${listed(standby)} when too few of these are healthy`;
  const sick = unhealthy.length === 0 ? "" : `, not to ${listed(unhealthy)}, which ${unhealthy.length === 1 ? "is" : "are"} not ready`;
  if (endpoints.length === 0) return `, which has no endpoint that can take it${sick}`;
  const how = TRANSPORTS[transport];
  return `: ${listed(endpoints)}${how}${further}${sick}`;
}

function listed(addresses: readonly string[]): string {
  const more = addresses.length - MAX_ENDPOINTS;
  return more <= 0 ? addresses.join(", ") : `${addresses.slice(0, MAX_ENDPOINTS).join(", ")} and ${more} more`;
}

function mirrorLines({ mirrors }: Explanation): string[] {
  return mirrors.map(({ cluster, percent }) => `A copy${percent === 100 ? "" : ` of ${percent} %`} goes to ${cluster}.`);
}

function limitLines({ timeoutMs, retries, protocol }: Explanation): string[] {
  if (protocol === "tcp" || timeoutMs === null) return [];
  const timeout = timeoutMs === 0 ? "No timeout" : `Timeout ${timeoutMs / 1000} s`;
  return [`${timeout}; ${retries === null ? "no retries" : describeRetries(retries)}.`];
}

function describeRetries({ attempts, perTryTimeoutMs, retryOn, retriableStatuses, isExplicit, avoidsPreviousHosts, prefersRemoteLocalities }: ExplainedRetries): string {
  if (attempts === 0) return "no retries";
  const statuses = retriableStatuses.length === 0 ? "" : ` (${retriableStatuses.join(", ")})`;
  const each = perTryTimeoutMs === 0 ? "" : `, ${perTryTimeoutMs / 1000} s each`;
  const where = `${avoidsPreviousHosts ? "" : "; also to endpoints that failed"}${prefersRemoteLocalities ? "; every second one in another locality" : ""}`;
  const care = isExplicit ? "" : "; what may have been executed is repeated only if its method is idempotent";
  return `up to ${attempts} ${attempts === 1 ? "retry" : "retries"}${each} on ${retryOn.join(", ")}${statuses}${care}${where}`;
}

function filterLines({ filters, verdict }: Explanation): string[] {
  return filters.filter((filter) => filter.verdict === "pass" || filter.verdict === "skipped" || verdict === "route")
    .map((filter) => `${filter.verdict === "skipped" ? "Skipped" : "Passed"} ${filter.name}: ${filter.resource === null ? "" : `${filter.resource}${at(filter)}, `}${filter.reason ?? "nothing against it"}.`);
}

function triedLines({ tried, virtualHost }: Explanation): string[] {
  const passedOver = tried.filter(({ isMatch }) => !isMatch);
  if (passedOver.length === 0) return [];
  return [`Passed over${virtualHost === null ? "" : ` in virtual host ${virtualHost}`}:`, ...passedOver.map((route) => `  ${nameOf(route)}: ${route.reason}`)];
}

function nameOf(route: TriedRoute): string {
  if (route.resource === null) return JSON.stringify(route.name);
  return `rule ${route.rule}${route.name === "" ? "" : ` ${JSON.stringify(route.name)}`} of ${route.resource}${at(route)}`;
}

function sentLines(request: SentRequest | null): string[] {
  if (request === null) return [];
  const told = request.headers.filter(([name]) => !PEER_METADATA.has(name));
  const headers = told.map(([name, value]) => `  ${name}: ${shortened(value)}`);
  const metadata = told.length < request.headers.length ? [`  and ${[...PEER_METADATA].join(", ")}: who sends it, for metrics`] : [];
  return ["Sent as", `  ${request.method} ${request.path}`, `  Host: ${request.authority}`, ...headers, ...metadata];
}

/** What the proxy says by itself, as far as a reader wants to know. */
function answerLines({ verdict, reply }: Explanation): string[] {
  if (verdict !== "reply" || reply === null) return [];
  const location = reply.headers.find(([name]) => name.toLowerCase() === "location")?.[1];
  const lines = location === undefined ? [] : [`It sends the client to ${location}`];
  return reply.body === "" ? lines : [...lines, `It says ${shortened(JSON.stringify(reply.body))}`];
}

function shortened(value: string): string {
  return value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}...` : value;
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
