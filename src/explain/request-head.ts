import { DEFAULT_HTTP1_LIMITS } from "../codec/http1-limits.ts";
import { Http1RequestParser } from "../codec/http1-request-parser.ts";
import type { RequestHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ExplainRequest } from "./explain-request.ts";

/** A URL's parts as they are sent. */
export interface TargetParts {
  readonly scheme: "http" | "https" | null;
  /** Host and perhaps port; null where the URL is a path alone. */
  readonly authority: string | null;
  /** Path and query, or `*`; never empty. */
  readonly path: string;
}

/** Takes a URL apart without changing a byte of it: what is wrong with it, the codec has to find. */
export function targetParts(url: string): TargetParts {
  const parts = /^(https?):\/\/([^/?#]*)(.*)$/is.exec(url);
  if (parts === null) return { scheme: null, authority: null, path: url === "" ? "/" : url };
  const rest = parts[3] as string;
  const path = rest.startsWith("/") || rest.startsWith("#") ? rest : `/${rest}`;
  return { scheme: (parts[1] as string).toLowerCase() as "http" | "https", authority: parts[2] as string, path };
}

/** The authority a request names: its Host header, else that of its URL, else null. */
export function authorityOf(request: ExplainRequest): string | null {
  const host = request.headers.find(([name]) => name.toLowerCase() === "host");
  return host?.[1] ?? (request.url === null ? null : targetParts(request.url).authority);
}

/** What a request dials where `to` does not say it: the host of its URL, whatever its Host header says; else that. Null: nobody knows. */
export function dialledBy(request: ExplainRequest): string | null {
  const inUrl = request.url === null ? null : targetParts(request.url).authority;
  return inUrl ?? authorityOf(request);
}

/** A request as a connection's codec hands it on. */
export interface ReadRequest {
  readonly head: RequestHead;
  readonly hasBody: boolean;
}

/**
 * Writes a request as HTTP/1.1 and has it read by the parser that reads live traffic, so that what that refuses is
 * refused here, and what it takes out is out.
 *
 * @param fallbackAuthority what Host says when the request names none.
 */
export function readRequest(request: ExplainRequest, isTls: boolean, fallbackAuthority: string): ReadRequest | ProxyError {
  const { path } = targetParts(request.url ?? "/");
  const hasHost = request.headers.some(([name]) => name.toLowerCase() === "host");
  const lines = [`${request.method} ${path} HTTP/1.1`];
  if (!hasHost) lines.push(`Host: ${authorityOf(request) ?? fallbackAuthority}`);
  for (const [name, value] of request.headers) lines.push(`${name}: ${value}`);
  const found: { result: ReadRequest | ProxyError | null } = { result: null };
  const parser = new Http1RequestParser({
    onRequestHead: (head, hasBody) => {
      found.result = { head, hasBody };
    },
    onMalformed: (error) => {
      found.result = error;
    },
    onBodyData: () => {},
    onBodyEnd: () => {},
  }, DEFAULT_HTTP1_LIMITS, { isTls, defaultAuthority: fallbackAuthority });
  parser.push(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "utf8"), 0);
  return found.result ?? new ProxyError("codec_error", "the head does not end");
}
