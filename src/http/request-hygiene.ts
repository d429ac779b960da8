import { randomUUID } from "node:crypto";
import type { Clock } from "../core/clock.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { Direction, StreamInfo } from "../message/stream-info.ts";

/** Longest request id passed on; a longer one is cut (hostile row B16). A UUID has 36 characters. */
const MAX_REQUEST_ID_LENGTH = 128;

/** Orders to a proxy and facts only a proxy may state; neither an application nor a peer gives them (`spec/07` 7.1). */
const INTERNAL_NAMES: ReadonlySet<string> = new Set([
  "x-envoy-internal", "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries", "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names", "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-stream-duration-ms",
  "x-envoy-expected-rq-timeout-ms", "x-envoy-force-trace", "x-envoy-ip-tags", "x-envoy-original-url", "x-envoy-hedge-on-per-try-timeout",
  "x-istio-attributes",
]);

/** What a mesh's gateway says to applications behind it; the only `x-envoy-` header that anybody may send. */
const GATEWAY_NAME = "x-envoy-external-address";
/** Which attempt of the caller's proxy this is; believed of a peer that proved who it is. */
const ATTEMPT_NAME = "x-envoy-attempt-count";

/** Of all fields that two Outriders tell each other, or their operators. */
const OWN_PREFIX = "x-outrider-";
const NO_RETRY_NAME = "x-outrider-no-retry";

const DASH = 0x2d;
const LETTER_X = 0x78;

/**
 * What a sidecar does to the fields of a request besides hop-by-hop, in one pass: takes out internal fields, says
 * how the request came (`x-forwarded-proto`), gives it an id, and notes for telemetry what it saw. Run it before routing
 * and authorization read the head. X-Forwarded-For is left as it came (`spec/07` 7.1 item 4).
 *
 * Inbound, whatever a peer could forge goes: every `x-envoy-`, `x-istio-` and `x-outrider-` field (CVE-2020-8843,
 * CVE-2023-27487, CVE-2024-45806), but for the number of the attempt that a mesh peer's proxy gives;
 * X-Forwarded-Client-Cert belongs to `ForwardedClientCert`. Outbound, the names of
 * `spec/07` 7.1 item 6 go, and a client certificate the application claims.
 */
export function sanitizeRequest(head: RequestHead, connection: ConnectionFacts, info: StreamInfo): void {
  const { headers } = head;
  const { keys } = headers;
  const isInbound = info.direction === "inbound";
  let internal: string[] | null = null;
  let hasProto = false;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    if (key.charCodeAt(0) !== LETTER_X || key.charCodeAt(1) !== DASH) {
      if (key === "user-agent") info.userAgent = headers.values[index] as string;
    } else if (isInternal(key, isInbound) && !isAttemptOfPeer(key, headers.values[index] as string, connection)) {
      internal ??= [];
      internal.push(key);
    } else if (key === "x-forwarded-proto") {
      hasProto = true;
      takeScheme(head, headers.values[index] as string);
    } else if (key === "x-request-id") {
      info.requestId = keepRequestId(headers, index);
    } else if (key === "x-forwarded-for") {
      const value = headers.values[index] as string;
      info.forwardedFor = info.forwardedFor === null ? value : `${info.forwardedFor},${value}`;
    }
  }
  if (internal !== null) for (const key of internal) headers.remove(key);
  if (!hasProto) headers.appendKeyed("x-forwarded-proto", "x-forwarded-proto", connection.tls === null ? "http" : "https");
  if (info.requestId === null) addRequestId(headers, info);
}

function isInternal(key: string, isInbound: boolean): boolean {
  if (key.startsWith(OWN_PREFIX)) return true;
  if (!isInbound) return INTERNAL_NAMES.has(key) || key === "x-forwarded-client-cert";
  return (key.startsWith("x-envoy-") && key !== GATEWAY_NAME) || key.startsWith("x-istio-");
}

function isAttemptOfPeer(key: string, value: string, { tls }: ConnectionFacts): boolean {
  return key === ATTEMPT_NAME && tls !== null && tls.peer !== null && /^\d{1,4}$/.test(value);
}

/** How the request first entered the mesh counts, not how this hop carried it (`spec/07` 7.1 item 3). */
function takeScheme(head: RequestHead, value: string): void {
  const scheme = value.toLowerCase();
  if (scheme === "http" || scheme === "https") head.scheme = scheme;
}

function keepRequestId(headers: HeaderList, index: number): string | null {
  const value = headers.values[index] as string;
  if (value === "") return null;
  if (value.length <= MAX_REQUEST_ID_LENGTH) return value;
  const cut = value.slice(0, MAX_REQUEST_ID_LENGTH);
  headers.values[index] = cut;
  return cut;
}

function addRequestId(headers: HeaderList, info: StreamInfo): void {
  const id = randomUUID();
  info.requestId = id;
  const index = headers.keys.indexOf("x-request-id");
  if (index < 0) headers.appendKeyed("x-request-id", "x-request-id", id);
  else headers.values[index] = id;
}

/**
 * What a sidecar does to the fields of a response (`spec/07` 7.3): names itself as server, states how long the upstream
 * took (if it answered: `info.upstreamServiceMs`), adds a missing date. Also for local replies.
 */
export function sanitizeResponse(head: ResponseHead, info: StreamInfo, direction: Direction, clock: Clock): void {
  const { headers } = head;
  const server = direction === "inbound" ? "istio-envoy" : "envoy";
  overwrite(headers, "server", server);
  if (info.upstreamServiceMs >= 0) overwrite(headers, "x-envoy-upstream-service-time", String(Math.round(info.upstreamServiceMs)));
  if (!headers.has("date")) headers.appendKeyed("date", "date", httpDate(clock.wallMs()));
  if (direction === "outbound") headers.remove("x-envoy-decorator-operation");
}

/**
 * Takes out of an application's response, interim ones too, what only a proxy says: why a request
 * failed or was denied. What a proxy further on said of retries stays: an application that hands an answer on hands that on too.
 */
export function removeForgedAnswer(headers: HeaderList): void {
  for (let index = headers.keys.length - 1; index >= 0; index--) {
    const key = headers.keys[index];
    // Several of one name go at once, so that there may be less behind than there was.
    if (key?.charCodeAt(0) === LETTER_X && key.startsWith(OWN_PREFIX) && key !== NO_RETRY_NAME) headers.remove(key);
  }
}

function overwrite(headers: HeaderList, key: string, value: string): void {
  const index = headers.keys.indexOf(key);
  if (index < 0) headers.appendKeyed(key, key, value);
  else if (headers.keys.indexOf(key, index + 1) < 0) headers.values[index] = value;
  else headers.set(key, value);
}

let dateSecond = -1;
let dateText = "";

/** IMF-fixdate of RFC 9110 section 5.6.7, written once a second. */
function httpDate(wallMs: number): string {
  const second = Math.floor(wallMs / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
