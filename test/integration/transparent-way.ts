import type { Socket } from "node:net";

import { type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/** The ways a connection may go through sidecars; none may be noticed. */
export const TRANSPARENT_WAYS = ["one outbound proxy", "one inbound proxy", "two proxies, with the hop", "two proxies, without the hop"] as const;
export type TransparentWayName = (typeof TRANSPARENT_WAYS)[number];

/** Keeps the hop from `reviews`. */
const HOP_OFF: Resource = {
  apiVersion: "networking.istio.io/v1", kind: "DestinationRule",
  metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/hop": "off" } }, spec: { host: "reviews" },
};

export interface TransparentWay {
  connect(): Socket;
  /** Of the caller's side first. */
  readonly proxies: readonly ProxyUnderTest[];
  activeCount(): number;
  stop(): void;
}

export interface TransparentWayOptions {
  readonly portName?: string;
  /** In force on every proxy of the way. */
  readonly resources?: readonly Resource[];
}

/** Opens a way to the application on `port`, which the caller knows as `reviews`. */
export async function openTransparentWay(way: TransparentWayName, port: number, { portName = "http", resources = [] }: TransparentWayOptions = {}): Promise<TransparentWay> {
  if (way.startsWith("two")) {
    const off = way === "two proxies, without the hop" ? [HOP_OFF] : [];
    const pair = await ProxyPair.start({ port, portName, resources: [STRICT, ...off, ...resources] });
    return { connect: () => pair.connect(), proxies: [pair.caller, pair.callee], activeCount: () => pair.activeCount(), stop: () => pair.stop() };
  }
  const isInbound = way === "one inbound proxy";
  const proxy = await ProxyUnderTest.start({
    yaml: yamlOf(service({ name: "reviews", portName, endpoints: [{ port }] }), resources),
    ...(isInbound ? { workload: { podName: "reviews-1", labels: { app: "reviews" } } } : {}),
  });
  const connect = (): Socket => (isInbound ? proxy.connectInbound(port) : proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }));
  return { connect, proxies: [proxy], activeCount: () => proxy.activeCount(), stop: () => proxy.stop() };
}

/** A request as the application got it, what sidecars add taken out. */
export function asSent(received: string): string {
  return received.replaceAll(/\r\n(?:x-envoy-peer-metadata(?:-id)?|x-forwarded-proto|x-request-id|x-forwarded-client-cert|x-envoy-attempt-count): [^\r]*/gi, "");
}

/** A response as the client got it, what sidecars add taken out. */
export function asAnswered(received: string): string {
  return received.replaceAll(/\r\n(?:server|date|x-envoy-upstream-service-time): [^\r]*/g, "");
}
