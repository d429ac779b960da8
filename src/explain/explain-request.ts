import * as v from "valibot";
import { anyMapping, object, oneOf, quote, text } from "../config/kinds/field.ts";
import { isIP } from "node:net";
import { parseSpiffeId } from "../identity/spiffe-id.ts";
import type { Direction } from "../message/stream-info.ts";

/** One request, or one opaque connection, that is to be decided. What nobody said is null. */
export interface ExplainRequest {
  readonly direction: Direction;
  /** Who calls: a SPIFFE ID. Inbound it is what the caller's certificate proves. */
  readonly from: string | null;
  /** What is dialled: `HOST:PORT`, `ADDRESS:PORT` or `[ADDRESS]:PORT`. */
  readonly to: string | null;
  readonly method: string;
  /** `http://host:port/path?query`, or `/path` with the host in a `Host` header or in `to`; null for tcp. */
  readonly url: string | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Address the connection comes from. */
  readonly sourceIp: string | null;
  /** Whether the connection is TLS; null: inbound as a caller with an identity would do, outbound what the URL says. */
  readonly tls: boolean | null;
  /** Server name of its handshake. */
  readonly sni: string | null;
  readonly protocol: "http" | "tcp";
  /** Claims of a token that is taken as verified. */
  readonly jwt: Readonly<Record<string, unknown>> | null;
}

/** An input that is no request; the message names the field. */
export class InvalidExplainRequest extends Error {}

const optionalText = v.optional(v.nullable(text), null);
/** Visible ASCII, as a field name must be written. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const headerLine = v.pipe(
  v.array(v.string(), (issue) => `must be a pair of name and value, not ${quote(issue.input)}`),
  v.check((pair) => pair.length === 2, "must be a pair of name and value"),
  v.check((pair) => HEADER_NAME.test(pair[0] ?? ""), (issue) => `${quote((issue.input as string[])[0])} is no header name`),
  v.check((pair) => !/[\0\r\n]/.test(pair[1] ?? ""), "a value may hold no line break and no NUL"),
  v.transform((pair): readonly [string, string] => [pair[0] as string, pair[1] as string]),
);
const spiffeId = v.pipe(text, v.check((id) => typeof parseSpiffeId(id) !== "string", (issue) =>
  `must be a SPIFFE ID, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, not ${quote(issue.input)}`));
const noLineBreak = v.pipe(text, v.check((value) => !/[\0\r\n]/.test(value), "may hold no line break and no NUL"));

const schema = object({
  direction: v.optional(oneOf("inbound", "outbound")),
  from: v.optional(v.nullable(spiffeId), null),
  to: optionalText,
  method: v.optional(noLineBreak, "GET"),
  url: v.optional(v.nullable(noLineBreak), null),
  headers: v.optional(v.array(headerLine, (issue) => `must be a list of [name, value] pairs, not ${quote(issue.input)}`), []),
  sourceIp: v.optional(v.nullable(v.pipe(text, v.check((value) => isIP(value) !== 0, (issue) => `must be an IP address, not ${quote(issue.input)}`))), null),
  tls: v.optional(v.nullable(v.boolean((issue) => `must be true or false, not ${quote(issue.input)}`)), null),
  sni: optionalText,
  protocol: v.optional(oneOf("http", "tcp"), "http"),
  jwt: v.optional(v.nullable(anyMapping), null),
});

/**
 * Reads one request. Unknown fields are refused: one that is silently ignored would be explained wrongly.
 *
 * @param fallback the direction of a request that names none; null: it must.
 * @throws InvalidExplainRequest naming the field
 */
export function parseExplainRequest(value: unknown, fallback: Direction | null = null): ExplainRequest {
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = (issue.path ?? []).map((item) => String(item.key)).join(".");
    throw new InvalidExplainRequest(path === "" ? issue.message : `${path}: ${issue.message}`);
  }
  const direction = parsed.output.direction ?? fallback;
  if (direction === null) throw new InvalidExplainRequest('direction: is required, "inbound" or "outbound"');
  const request: ExplainRequest = { ...parsed.output, direction };
  if (request.protocol === "http" && request.url === null) throw new InvalidExplainRequest("url: is required");
  if (request.protocol === "tcp" && request.to === null) throw new InvalidExplainRequest("to: is required for tcp: HOST:PORT");
  return request;
}

/**
 * Reads a line of `--requests`.
 *
 * @throws InvalidExplainRequest `line N: field: message`
 */
export function parseExplainLine(line: string, number: number, fallback: Direction | null = null): ExplainRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new InvalidExplainRequest(`line ${number}: is not JSON: ${(error as Error).message}`);
  }
  try {
    return parseExplainRequest(value, fallback);
  } catch (error) {
    throw new InvalidExplainRequest(`line ${number}: ${(error as Error).message}`);
  }
}
