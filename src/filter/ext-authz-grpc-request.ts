import { ProtobufWriter } from "../codec/protobuf-writer.ts";
import { utf8Of } from "../core/latin1.ts";
import type { ConnectionFacts, SocketAddress } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";

/*
 * `envoy.service.auth.v3.CheckRequest`, of which we say: attributes = 1 { source = 1, destination = 2, request = 4 { time = 1,
 * http = 2 }, tls_session = 12 { sni = 1 } }; a peer is { address = 1, principal = 4 }; an address is
 * { socket_address = 1 { address = 2, port_value = 3 } }.
 */
const ATTRIBUTES = 1;
const SOURCE = 1;
const DESTINATION = 2;
const REQUEST = 4;
const TLS_SESSION = 12;
const HTTP = { id: 1, method: 2, headers: 3, path: 4, host: 5, scheme: 6, size: 9, protocol: 10, body: 11, rawBody: 12 } as const;

/** Tells the authorizer whether it was shown the whole body; nobody else says so (Envoy's name). */
const PARTIAL_BODY = "x-envoy-auth-partial-body";
const NANOS_PER_MS = 1_000_000;

/** A request as an authorizer is told of it. */
export interface ShownRequest {
  readonly head: RequestHead;
  readonly id: string;
  readonly receivedAtMs: number;
  /** Names that are told, in lower case; null: all. */
  readonly isShown: ((key: string) => boolean) | null;
  /** What of the body there is to show; null: none is. */
  readonly body: { readonly bytes: Buffer; readonly isWhole: boolean } | null;
  /** The body is shown as bytes; else as text, in which what is not UTF-8 is replaced. */
  readonly asBytes: boolean;
}

/** Encodes what an authorizer is asked about a request, or about an opaque connection when `request` is null. */
export function encodeCheckRequest({ remote, local, tls }: ConnectionFacts, request: ShownRequest | null): Buffer {
  const writer = new ProtobufWriter();
  writer.open(ATTRIBUTES);
  writePeer(writer, SOURCE, remote, tls?.peer?.spiffeId);
  writePeer(writer, DESTINATION, local, tls?.ownSpiffeId);
  if (request !== null) writeRequest(writer, request);
  const serverName = tls?.serverName ?? "";
  if (serverName !== "") {
    writer.open(TLS_SESSION);
    writer.string(1, serverName);
    writer.close();
  }
  writer.close();
  return writer.finish();
}

function writePeer(writer: ProtobufWriter, field: number, { address, port }: SocketAddress, spiffeId = ""): void {
  writer.open(field);
  writer.open(1);
  writer.open(1);
  writer.string(2, address);
  writer.integer(3, port);
  writer.close();
  writer.close();
  writer.string(4, spiffeId);
  writer.close();
}

function writeRequest(writer: ProtobufWriter, request: ShownRequest): void {
  const { head, id, receivedAtMs, body, asBytes } = request;
  writer.open(REQUEST);
  writer.open(1);
  writer.integer(1, Math.floor(receivedAtMs / 1000));
  writer.integer(2, Math.floor(receivedAtMs % 1000) * NANOS_PER_MS);
  writer.close();
  writer.open(2);
  writer.string(HTTP.id, utf8Of(id));
  writer.string(HTTP.method, head.method);
  for (const [key, value] of shownHeaders(request)) writer.textEntry(HTTP.headers, key, utf8Of(value));
  writer.string(HTTP.path, utf8Of(head.path));
  writer.string(HTTP.host, utf8Of(head.authority));
  writer.string(HTTP.scheme, head.scheme);
  // -1 for a length that is not announced, as the protocol has it.
  writer.integer(HTTP.size, head.contentLength);
  writer.string(HTTP.protocol, head.version);
  if (body !== null && asBytes) writer.bytes(HTTP.rawBody, body.bytes);
  else if (body !== null) writer.string(HTTP.body, body.bytes.toString("utf8"));
  writer.close();
  writer.close();
}

/** Each name once, pseudo-headers first; what came in several fields is joined, cookies as HTTP/2 joins them. */
function shownHeaders({ head, isShown, body }: ShownRequest): Map<string, string> {
  const shown = new Map<string, string>();
  const add = (key: string, value: string): void => {
    if (isShown !== null && !isShown(key)) return;
    const before = shown.get(key);
    shown.set(key, before === undefined ? value : `${before}${key === "cookie" ? "; " : ","}${value}`);
  };
  add(":authority", head.authority);
  add(":method", head.method);
  add(":path", head.path);
  add(":scheme", head.scheme);
  if (head.contentLength > 0) add("content-length", String(head.contentLength));
  if (head.upgrade !== null) add("upgrade", head.upgrade);
  const { keys, values } = head.headers;
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index] as string;
    if (key !== PARTIAL_BODY) add(key, values[index] as string);
  }
  if (body !== null) shown.set(PARTIAL_BODY, String(!body.isWhole));
  return shown;
}
