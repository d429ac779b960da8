import type { Direction } from "../message/stream-info.ts";
import type { ExplainRequest } from "./explain-request.ts";

/**
 * What became of a logged request, as far as the log tells.
 * - `route`: it was sent to `cluster`, or would have been had an endpoint been well.
 * - `reply`: the proxy answered by its configuration: a direct response, a redirect, no route.
 * - `deny`: a policy forbade it.
 */
export interface LoggedOutcome {
  readonly verdict: "route" | "reply" | "deny";
  readonly cluster: string | null;
  /** Of the line; null and empty are the same: a rule without a name, or none. */
  readonly routeName: string | null;
  readonly status: number;
  readonly details: string | null;
  /** No endpoint could be picked: what the endpoints were then is not what they are now. */
  readonly hadNoEndpoint: boolean;
}

/** A line that can be decided again. */
export interface LoggedRequest {
  readonly request: ExplainRequest;
  readonly outcome: LoggedOutcome;
  readonly startTime: string | null;
  readonly requestId: string | null;
}

type Line = Readonly<Record<string, unknown>>;

/**
 * Reads a line of a proxy's JSON access log (`telemetry/access-log.ts`); a text says why the line cannot be replayed.
 * Reasons are few and never quote the line. Never throws.
 */
export function readLogLine(text: string): LoggedRequest | string {
  let line: unknown;
  try {
    line = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  if (typeof line !== "object" || line === null || !("response_code" in line) || !("downstream_local_address" in line)) return "it is not a line of an access log";
  const fields = line as Line;
  const direction = fields["direction"];
  if (direction !== "inbound" && direction !== "outbound") return "it does not say the direction";
  const to = textOf(fields, "downstream_local_address");
  if (to === null) return "it does not say where the request was going";
  const method = textOf(fields, "method");
  const isHttp = method !== null;
  if (!isHttp && typeof fields["attempts"] === "number") return "the request was malformed";
  const outcome = isHttp ? httpOutcome(fields) : tcpOutcome(fields);
  if (typeof outcome === "string") return outcome;
  const request = isHttp ? httpRequest(fields, direction, to, method) : tcpRequest(fields, direction, to);
  return { request, outcome, startTime: textOf(fields, "start_time"), requestId: textOf(fields, "request_id") };
}

/** Why requests were answered by something else than routes and policies, by the beginning of the details. */
const OTHER_ANSWERS: readonly (readonly [string, string])[] = [
  ["fault_filter", "a fault was injected by chance"],
  ["cors_response", "it was a CORS preflight, whose headers are not in the log"],
  ["local_rate_limit", "it was beyond a rate limit"],
  ["request_rate_limited", "it was beyond a rate limit"],
  ["ext_authz", "an external authorizer refused it"],
  ["request_payload_too_large", "its body was larger than an external authorizer is to be shown"],
  ["jwt_authn", "its token was refused, and tokens are not in the log"],
  ["path_normalization_failed", "the request was malformed"],
];

function httpOutcome(line: Line): LoggedOutcome | string {
  const details = textOf(line, "response_code_details");
  const cluster = textOf(line, "upstream_cluster");
  const status = typeof line["response_code"] === "number" ? line["response_code"] : 0;
  const common = { cluster, routeName: textOf(line, "route_name"), status, details, hadNoEndpoint: (textOf(line, "response_flags") ?? "").split(",").includes("UH") };
  if (details?.startsWith("rbac_access_denied") === true) return { ...common, verdict: "deny" };
  const other = OTHER_ANSWERS.find(([beginning]) => details?.startsWith(beginning) === true);
  if (other !== undefined) return other[1];
  if (details !== null && /^(?:direct_response|redirect|route_not_found|cluster_not_found)/.test(details)) return { ...common, verdict: "reply" };
  if (cluster === null) return "it ended before it was decided";
  return { ...common, verdict: "route" };
}

function tcpOutcome(line: Line): LoggedOutcome | string {
  const details = textOf(line, "connection_termination_details");
  const cluster = textOf(line, "upstream_cluster");
  const common = { cluster, routeName: null, status: 0, details, hadNoEndpoint: (textOf(line, "response_flags") ?? "").split(",").includes("UH") };
  if (details?.startsWith("rbac_access_denied") === true) return { ...common, verdict: "deny" };
  return cluster === null ? "it ended before it was decided" : { ...common, verdict: "route" };
}

/** Headers that the log keeps, and that conditions of routes and policies can be decided on. */
const LOGGED_HEADERS: readonly (readonly [key: string, header: string])[] = [
  ["user_agent", "user-agent"], ["request_id", "x-request-id"], ["x_forwarded_for", "x-forwarded-for"],
];

/** Whether a header of a replayed request is what it was: of those not in the log nobody knows. */
export function isLoggedHeader(name: string): boolean {
  return name === "host" || name.startsWith(":") || LOGGED_HEADERS.some(([, header]) => header === name);
}

function httpRequest(line: Line, direction: Direction, to: string, method: string): ExplainRequest {
  const authority = textOf(line, "authority");
  const path = textOf(line, "path") ?? "/";
  const headers = LOGGED_HEADERS.flatMap(([key, name]): (readonly [string, string])[] => {
    const value = textOf(line, key);
    return value === null ? [] : [[name, value]];
  });
  return { ...connection(line, direction, to), method, url: authority === null || !path.startsWith("/") ? path : `http://${authority}${path}`, headers, protocol: "http" };
}

function tcpRequest(line: Line, direction: Direction, to: string): ExplainRequest {
  return { ...connection(line, direction, to), method: "", url: null, headers: [], protocol: "tcp" };
}

function connection(line: Line, direction: Direction, to: string): Pick<ExplainRequest, "direction" | "from" | "to" | "sourceIp" | "tls" | "sni" | "jwt"> {
  const sni = textOf(line, "requested_server_name");
  // Outbound it is the upstream that proved who it is, which decides nothing.
  const from = direction === "inbound" ? textOf(line, "peer_principal") : null;
  return { direction, from, to, sourceIp: addressOf(textOf(line, "downstream_remote_address")), tls: from !== null || sni !== null, sni, jwt: null };
}

/** `10.0.0.1:80` and `[::1]:80` without the port. */
function addressOf(text: string | null): string | null {
  if (text === null) return null;
  const end = text.lastIndexOf(":");
  return end < 0 ? text : text.slice(0, end).replace(/^\[(.*)\]$/, "$1");
}

function textOf(line: Line, key: string): string | null {
  const value = line[key];
  return typeof value === "string" && value !== "" ? value : null;
}
