import { ResponseHead } from "./head.ts";
import { HeaderList } from "./header-list.ts";
import type { ProxyError } from "./proxy-error.ts";

const REASON_PHRASES: Readonly<Record<number, string>> = {
  200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout",
  414: "URI Too Long", 417: "Expectation Failed", 421: "Misdirected Request", 431: "Request Header Fields Too Large",
  500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
  504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
};

/** The reason phrase of RFC 9110 for the statuses we send ourselves; empty for others. */
export function reasonPhrase(status: number): string {
  return REASON_PHRASES[status] ?? "";
}

/** A response we make ourselves, with what telemetry says about it. */
export interface LocalReply {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly flag: string;
  readonly details: string;
}

/**
 * The one place where a failure becomes a response. `isRetried` true when attempts before this one failed too, which
 * Envoy puts into the text. The status is never 0: see `ProxyError.attributes.status` for failures nobody can hear of.
 */
export function toLocalReply(error: ProxyError, isRetried = false): LocalReply {
  const { status, flag, details, body } = error.attributes;
  const text = body.replace("{}", () => error.reason);
  const retried = isRetried ? text.replace("headers. reset reason", "headers. retried and the latest reset reason") : text;
  const headers: [string, string][] = [["x-outrider-error", error.code]];
  if (error.code === "overflow") headers.push(["x-envoy-overloaded", "true"]);
  return { status, headers, body: retried, flag, details: describe(details, error) };
}

/** `details{reason}` as Envoy writes response code details: spaces become underscores. */
function describe(details: string, error: ProxyError): string {
  if (error.code === "rbac_denied") return `${details}[${error.reason.replaceAll(" ", "_")}]`;
  if (details !== "upstream_reset_before_response_started") return details;
  const reset = /reset reason: ([^,]*)/.exec(error.attributes.body)?.[1] ?? error.code;
  const transport = error.attributes.body.includes("{}") && error.reason !== "" ? `|${error.reason}` : "";
  return `${details}{${reset}${transport}}`.replaceAll(" ", "_");
}

/** The head of a local reply; its body, if any, is `reply.body` in UTF-8. */
export function localReplyHead(reply: LocalReply): ResponseHead {
  const headers = new HeaderList();
  if (reply.body !== "") headers.append("content-type", "text/plain");
  for (const [name, value] of reply.headers) headers.append(name, value);
  return new ResponseHead(reply.status, reasonPhrase(reply.status), headers, Buffer.byteLength(reply.body, "utf8"));
}
