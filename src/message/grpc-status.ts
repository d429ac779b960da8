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

/** Response code details of a call that its upstream ended without a status. */
export const MISSING_STATUS_DETAILS = "upstream_grpc_status_missing";

/** `application/grpc` and its message formats (`+proto`); not gRPC-Web, which is a protocol of its own. */
export function isGrpcContent(contentType: string | undefined): boolean {
  if (contentType === undefined || !contentType.startsWith("application/grpc")) return false;
  const next = contentType[16];
  return next === undefined || next === "+" || next === ";";
}

/** True for the head of a gRPC response that has no status in it; what is not gRPC's, or not 200, needs none. */
export function lacksStatus(head: ResponseHead): boolean {
  return head.status === 200 && !head.headers.has("grpc-status") && isGrpcContent(head.headers.get("content-type"));
}

/**
 * What a call that ended without a status counts as at its caller: UNKNOWN (gRPC's PROTOCOL-HTTP2, "Responses"; C17).
 * Added to the trailers there were, or to the head of an answer that is a head alone.
 */
export function addMissingStatus(fields: HeaderList | null): HeaderList {
  const told = fields ?? new HeaderList();
  told.append("grpc-status", String(UNKNOWN));
  if (!told.has("grpc-message")) told.append("grpc-message", "upstream ended the call without a status");
  return told;
}

/** The gRPC status of a local reply with this HTTP status. */
export function grpcStatusOf(httpStatus: number): number {
  return FROM_HTTP.get(httpStatus) ?? UNKNOWN;
}

/** The HTTP status a gRPC status counts as; 500 for one that gRPC does not define. */
export function httpStatusOf(grpcStatus: number): number {
  return TO_HTTP[grpcStatus] ?? 500;
}

/**
 * What an answer counts as: a gRPC status, in the head of one without body or in the trailers, as the HTTP status it stands
 * for (`spec/04` 4.5). `fields`: where it may be; null for nowhere.
 */
export function effectiveStatus(status: number, fields: HeaderList | null): number {
  if (fields === null || status !== 200) return status;
  const grpcStatus = fields.get("grpc-status");
  return grpcStatus === undefined ? 200 : httpStatusOf(Number(grpcStatus));
}

/**
 * A local reply as a gRPC client understands it: 200 with the status in the head and no body ("trailers-only",
 * PROTOCOL-HTTP2 of gRPC), the body's text as `grpc-message`.
 */
export function grpcReplyHead(reply: LocalReply): ResponseHead {
  const headers = HeaderList.of(["content-type", "application/grpc"], ["grpc-status", String(reply.grpcStatus ?? grpcStatusOf(reply.status))]);
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
