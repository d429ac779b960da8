import type { UpstreamProtocol } from "../config/snapshot.ts";
import type { RequestHead } from "../message/head.ts";

/**
 * What a request is sent upstream with (`spec/04` 4.3), by what its cluster declares. An upgrade that came by HTTP/1.1 goes
 * on by it (`spec/07` 7.6): whether an HTTP/2 peer takes one (RFC 8441) is not known before it is connected to.
 */
export function requestProtocol(head: RequestHead, declared: UpstreamProtocol): "http1" | "http2" {
  const isHttp2 = head.version === "HTTP/2";
  if (head.upgrade !== null && !isHttp2) return "http1";
  if (declared === "downstream") return isHttp2 ? "http2" : "http1";
  return declared;
}
