import { isGrpcContent } from "../message/grpc-status.ts";
import type { CallAnswer } from "./ext-authz-call.ts";

/** A flag, compressed or not, and four bytes of length (gRPC's PROTOCOL-HTTP2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
const MAX_MESSAGE_TEXT = 200;

/** What a unary call came to: the bytes of its message, or why there are none, in words for the log. */
export type GrpcOutcome = { readonly message: Buffer } | { readonly failure: string };

/** A message as the body of a request. It is not compressed. */
export function frameMessage(message: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  message.copy(framed, PREFIX_BYTES);
  return framed;
}

/** Reads the answer to a unary call: status OK and exactly one message that is not compressed, since we offered no way to. */
export function readOutcome({ status, headers, trailers, body }: CallAnswer): GrpcOutcome {
  const told = trailers ?? headers;
  const grpcStatus = told.get("grpc-status") ?? headers.get("grpc-status");
  if (grpcStatus !== undefined && grpcStatus !== "0") return { failure: describe(grpcStatus, told.get("grpc-message")) };
  if (status !== 200) return { failure: `HTTP status ${status}` };
  if (!isGrpcContent(headers.get("content-type"))) return { failure: "an answer that is not gRPC's" };
  if (grpcStatus === undefined) return { failure: "no gRPC status" };
  if (body.length < PREFIX_BYTES) return { failure: body.length === 0 ? "no message" : "a message that is cut short" };
  if (body[0] !== 0) return { failure: "a compressed message" };
  if (body.readUInt32BE(1) !== body.length - PREFIX_BYTES) return { failure: "another length than the message has" };
  return { message: body.subarray(PREFIX_BYTES) };
}

function describe(status: string, message: string | undefined): string {
  const number = /^\d{1,3}$/.test(status) ? `gRPC status ${status}` : "a gRPC status that is no number";
  return message === undefined || message === "" ? number : `${number}: ${message.slice(0, MAX_MESSAGE_TEXT)}`;
}
