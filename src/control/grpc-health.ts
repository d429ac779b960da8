/*
 * The messages of `grpc.health.v1.Health/Check` (gRPC Health Checking Protocol): few enough to be read and written by hand.
 */

export const GRPC_HEALTH_PATH = "/grpc.health.v1.Health/Check";
/** `HealthCheckResponse.ServingStatus`. */
const SERVING_STATUS: readonly string[] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** Five bytes: not compressed, and the length of the message. */
const PREFIX_BYTES = 5;
/** Field 1, length-delimited. */
const SERVICE_TAG = 0x0a;
/** Field 1, varint. */
const STATUS_TAG = 0x08;

/** `HealthCheckRequest` as a length-prefixed message. `service`: at most 127 bytes; empty: the server as a whole. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service, "latin1");
  const message = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([SERVICE_TAG, name.length]), name]);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status in a length-prefixed `HealthCheckResponse`, or null when `body` is something else. */
export function servingStatus(body: Buffer): string | null {
  if (body.length < PREFIX_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.length - PREFIX_BYTES) return null;
  const message = body.subarray(PREFIX_BYTES);
  // A field that has its default is left out.
  if (message.length === 0) return "UNKNOWN";
  return message.length === 2 && message[0] === STATUS_TAG ? (SERVING_STATUS[message[1] as number] ?? null) : null;
}
