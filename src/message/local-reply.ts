import { ResponseHead } from "./head.ts";
import { HeaderList } from "./header-list.ts";
import type { ProxyError } from "./proxy-error.ts";

const REASON_PHRASES: Readonly<Record<number, string>> = {
  100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
  200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content", 205: "Reset Content", 206: "Partial Content",
  300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified", 305: "Use Proxy",
  307: "Temporary Redirect", 308: "Permanent Redirect",
  400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
  406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required",
  412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable",
  417: "Expectation Failed", 421: "Misdirected Request", 422: "Unprocessable Content", 426: "Upgrade Required", 428: "Precondition Required",
  429: "Too Many Requests", 431: "Request Header Fields Too Large",
  500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
  505: "HTTP Version Not Supported", 507: "Insufficient Storage",
};

/** The usual reason phrase of a status (RFC 9110 section 15, RFC 6585); empty for one that is not registered. */
export function reasonPhrase(status: number): string {
  return REASON_PHRASES[status] ?? "";
}

/** A response we make ourselves, with what telemetry says about it. */
export interface LocalReply {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  /** In place of `body`, bytes that are not ours; their type is among the headers. Absent: there are none. */
  readonly bytes?: Buffer;
  readonly flag: string;
  readonly details: string;
  /** What gRPC clients are told; absent: what the status stands for. */
  readonly grpcStatus?: number;
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
  const transport = (error.attributes.body.includes("{}") || error.code === "tls_refused") && error.reason !== "" ? `|${error.reason}` : "";
  return `${details}{${reset}${transport}}`.replaceAll(" ", "_");
}

/** `%RESPONSE_CODE_DETAILS%` of a failure that came when the response had begun, and which nobody can hear of any more. */
export function detailsAfterHead(error: ProxyError): string {
  return describe(error.attributes.details, error).replace("before_response_started", "after_response_started");
}

/** The body of a local reply: text in UTF-8, or bytes of somebody else's; null for none. */
export function localReplyBody({ body, bytes }: LocalReply): Buffer | null {
  if (bytes !== undefined) return bytes.length === 0 ? null : bytes;
  return body === "" ? null : Buffer.from(body, "utf8");
}

/** The head of a local reply; its body, if any, is what `localReplyBody` gives. */
export function localReplyHead(reply: LocalReply): ResponseHead {
  const headers = new HeaderList();
  if (reply.body !== "") headers.append("content-type", "text/plain");
  for (const [name, value] of reply.headers) headers.append(name, value);
  return new ResponseHead(reply.status, reasonPhrase(reply.status), headers, reply.bytes?.length ?? Buffer.byteLength(reply.body, "utf8"));
}
