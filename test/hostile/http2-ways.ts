import type { Duplex } from "node:stream";

import { type MeshClientOptions, meshClient } from "../integration/mesh-client.ts";
import { ADDED, canonical, HostileProxy } from "./hostile-proxy.ts";
import { RawHttp2, requestFields } from "./raw-http2.ts";

/**
 * How an HTTP/2 connection comes in: by ALPN over mesh TLS, as the hop between two of us, and with prior knowledge in
 * plaintext on either side.
 */
export const HTTP2_WAYS = ["mTLS", "hop", "plaintext inbound", "plaintext outbound"] as const;
export type Http2Way = (typeof HTTP2_WAYS)[number];

/** What a sidecar of Istio offers for HTTP/2 (spec/05 5.4). */
const ISTIO_HTTP2 = ["istio-h2", "istio", "h2"];
const HOP = ["outrider", "istio-http/1.1", "istio", "http/1.1"];

/** A connection to the proxy on that way, before its first byte of HTTP/2. */
export function connectHttp2(hostile: HostileProxy, way: Http2Way, options: MeshClientOptions = {}): Duplex {
  if (way === "plaintext outbound") return hostile.connect("outbound");
  const socket = hostile.connect("inbound");
  socket.on("error", () => undefined);
  if (way === "plaintext inbound") return socket;
  return meshClient(socket, { alpn: way === "hop" ? HOP : ISTIO_HTTP2, ...options });
}

/** A client on that way that has sent its preface and settings. */
export function openHttp2(hostile: HostileProxy, way: Http2Way, ...settings: (readonly [number, number])[]): RawHttp2 {
  return RawHttp2.client(connectHttp2(hostile, way), ...settings);
}

const XFCC = /X-Forwarded-Client-Cert: By=[^\r]*;URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/productpage\r\n/;

/** What the application has got, what the proxy adds on each of the ways taken out. */
export function arrived(hostile: HostileProxy, way: Http2Way): string {
  const added = ADDED[way === "plaintext outbound" ? "outbound" : "inbound"].replace("proto: http\r\n", way === "mTLS" || way === "hop" ? "proto: https\r\n" : "proto: http\r\n");
  return canonical(hostile.backend.received).replace(XFCC, "").replace(added, "");
}

/** A good request on a connection of its own is served: whatever came before left no trace. */
export async function goodRequest(hostile: HostileProxy, way: Http2Way): Promise<number> {
  const client = openHttp2(hostile, way);
  client.headers(1, requestFields("GET", "/sentinel"));
  const { status } = await client.done(1);
  client.socket.destroy();
  return status;
}
