import type { Socket } from "node:net";

import { service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair } from "./proxy-pair.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/** What a client of a service sees of the proxies in between. */
export interface WayThrough {
  connect(): Socket;
  /** Streams and opaque connections under way. */
  activeCount(): number;
  /** Access log of the proxy beside the client. */
  readonly accessLog: Record<string, unknown>[];
  /** Requests under way towards upstreams, as the clusters count them. */
  upstreamRequests(): number;
  stop(): void;
}

/** The ways a request may go: the same must be true on each. */
export const WAYS = ["plaintext outbound", "plaintext inbound", "mutual TLS between two proxies"] as const;

/** Opens a way to the application on `port`. */
export async function openWay(way: (typeof WAYS)[number], port: number): Promise<WayThrough> {
  if (way === "mutual TLS between two proxies") {
    const pair = await ProxyPair.start({ port });
    return {
      connect: () => pair.connect(), activeCount: () => pair.activeCount(), accessLog: pair.caller.accessLog,
      upstreamRequests: () => requestsOf(pair.caller) + requestsOf(pair.callee), stop: () => pair.stop(),
    };
  }
  const isInbound = way === "plaintext inbound";
  const proxy = await ProxyUnderTest.start({
    yaml: yamlOf(service({ name: "reviews", endpoints: [{ port }] })), ...(isInbound ? { workload: { podName: "reviews-1", labels: { app: "reviews" } } } : {}),
  });
  return {
    connect: () => (isInbound ? proxy.connectInbound(port) : proxy.connectOutbound({ address: "10.96.0.10", port: 9080 })),
    activeCount: () => proxy.activeCount(), accessLog: proxy.accessLog, upstreamRequests: () => requestsOf(proxy), stop: () => proxy.stop(),
  };
}

function requestsOf(proxy: ProxyUnderTest): number {
  const { outbound, inbound } = proxy.clusters();
  return [...outbound, ...inbound].flatMap(({ endpoints }) => endpoints).reduce((sum, endpoint) => sum + endpoint.activeRequests, 0);
}
