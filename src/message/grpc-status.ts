import { ResponseHead } from "./head.ts";
import { HeaderList } from "./header-list.ts";
import type { LocalReply } from "./local-reply.ts";

/** gRPC's number for a status that a proxy answers by itself (gRPC's http-grpc-status-mapping; `spec/07` 7.5). */
const FROM_HTTP: ReadonlyMap<number, number> = new Map([
  [400, 13], [401, 16], [403, 7], [404, 12], [429, 14], [502, 14], [503, 14], [504, 14],
]);
const UNKNOWN = 2;

/** What a gRPC status counts as where HTTP statuses are counted: outlier detection, retries (`spec/07` 7.5). */
const TO_HTTP: readonly number[] = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** The gRPC status of a local reply with this HTTP status. */
export function grpcStatusOf(httpStatus: number): number {
  return FROM_HTTP.get(httpStatus) ?? UNKNOWN;
}

/** The HTTP status a gRPC status counts as; 500 for one that gRPC does not define. */
export function httpStatusOf(grpcStatus: number): number {
  return TO_HTTP[grpcStatus] ?? 500;
}

/** A gRPC status in the head of an answer without body counts as the HTTP status it stands for (`spec/04` 4.5). */
export function effectiveStatus(head: ResponseHead, end: boolean): number {
  if (!end || head.status !== 200) return head.status;
  const grpcStatus = head.headers.get("grpc-status");
  return grpcStatus === undefined ? 200 : httpStatusOf(Number(grpcStatus));
}

/**
 * A local reply as a gRPC client understands it: 200 with the status in the head and no body ("trailers-only",
 * PROTOCOL-HTTP2 of gRPC), the body's text as `grpc-message`.
 */
export function grpcReplyHead(reply: LocalReply): ResponseHead {
  const headers = HeaderList.of(["content-type", "application/grpc"], ["grpc-status", String(grpcStatusOf(reply.status))]);
  if (reply.body !== "") headers.append("grpc-message", encodeMessage(reply.body));
  for (const [name, value] of reply.headers) headers.append(name, value);
  return new ResponseHead(200, "OK", headers, 0);
}

/** `grpc-message` is percent-encoded: every byte below 0x20, from 0x7F on, and `%` itself. */
function encodeMessage(text: string): string {
  let encoded = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x25;
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
