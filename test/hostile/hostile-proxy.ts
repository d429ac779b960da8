import type { Socket } from "node:net";

import { expect } from "vitest";

import { exchange, ProxyUnderTest, type ProxyUnderTestOptions, statusOf } from "../integration/proxy-under-test.ts";
import { RawBackend } from "./raw-backend.ts";

export type Side = "inbound" | "outbound";
export const SIDES: readonly Side[] = ["inbound", "outbound"];

const SERVICE_PORT = 9080;
/** Nobody listens there: what passes through to it is refused by the host. */
const SERVICE_ADDRESS = "127.0.0.77";

/** The service `app` and the hosts `a.test` and `b.test`: the backend, without a sidecar; inbound, `app` is ourselves. */
export const serviceYaml = (backendPort: number, portName = "http"): string => `
apiVersion: v1
kind: Service
metadata: { name: app, namespace: default }
spec:
  clusterIP: ${SERVICE_ADDRESS}
  selector: { app: test }
  ports: [{ name: ${portName}, port: ${SERVICE_PORT}, targetPort: ${backendPort} }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: app-1, namespace: default, labels: { kubernetes.io/service-name: app } }
addressType: IPv4
ports: [{ name: ${portName}, port: ${backendPort} }]
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: names, namespace: default }
spec:
  hosts: [a.test, b.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${SERVICE_PORT}, name: ${portName}, protocol: ${portName === "http" ? "HTTP" : "TCP"} }]
  endpoints: [{ address: 127.0.0.1, ports: { ${portName}: ${backendPort} } }]
`;

/** What the proxy adds to a request of its own accord, as `canonical` writes it. */
export const ADDED: Readonly<Record<Side, string>> = {
  inbound: "x-forwarded-proto: http\r\nx-request-id: <uuid>\r\n",
  outbound: "x-envoy-peer-metadata-id: <own>\r\nx-envoy-peer-metadata: <own>\r\nx-forwarded-proto: http\r\nx-request-id: <uuid>\r\nx-envoy-attempt-count: 1\r\n",
};

/** Raw bytes as a test can compare them: what differs from run to run is named instead. */
export function canonical(raw: string): string {
  return raw
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g, "<uuid>")
    .replaceAll(/(\r\nx-envoy-peer-metadata(?:-id)?): [^\r]+/g, "$1: <own>");
}

/** How much of a good request's bytes a test need know: it proves that whatever came before it left no trace. */
const SENTINEL = "GET /sentinel HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";

/** A proxy with the backend behind it, on both of its sides. */
export class HostileProxy {
  readonly proxy: ProxyUnderTest;
  readonly backend: RawBackend;

  private constructor(proxy: ProxyUnderTest, backend: RawBackend) {
    this.proxy = proxy;
    this.backend = backend;
  }

  static async start(options: Partial<ProxyUnderTestOptions> & { readonly extraYaml?: string; readonly portName?: string } = {}): Promise<HostileProxy> {
    const { extraYaml = "", portName = "http", ...rest } = options;
    const backend = await RawBackend.listen();
    const yaml = `${serviceYaml(backend.port, portName)}${extraYaml === "" ? "" : `---\n${extraYaml}`}`;
    return new HostileProxy(await ProxyUnderTest.start({ yaml, ...rest }), backend);
  }

  stop(): void {
    this.proxy.stop();
    this.backend.close();
  }

  connect(side: Side): Socket {
    if (side === "inbound") return this.proxy.connectInbound(this.backend.port);
    return this.proxy.connectOutbound({ address: SERVICE_ADDRESS, port: SERVICE_PORT });
  }

  /** Sends `bytes` on a connection of its own; everything that came back until the proxy closed or `until` held. */
  ask(side: Side, bytes: string | Buffer, until?: (received: string) => boolean): Promise<string> {
    return exchange(this.connect(side), bytes, until);
  }

  /** A good request that closes; what the backend received is then forgotten up to and including it. */
  async sentinel(side: Side): Promise<string> {
    const before = canonical(this.backend.received);
    const answer = await this.ask(side, SENTINEL);
    expect(statusOf(answer)).toBe(200);
    expect(answer.endsWith("\r\n\r\nok")).toBe(true);
    return before;
  }

  /**
   * `bytes` are refused with `status`, once, the connection closed, and nothing of them reaches the backend: neither
   * before the answer nor, as a good request sent afterwards shows, behind it.
   */
  async expectRefused(side: Side, status: number, bytes: string | Buffer): Promise<string> {
    this.backend.forget();
    const connections = this.backend.connections.length;
    const answer = await this.ask(side, bytes);
    expect(statusOf(answer), answer.slice(0, 300)).toBe(status);
    expect(answer.match(/HTTP\/1\.1 \d{3} /g)).toHaveLength(1);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(this.backend.received).toBe("");
    expect(this.backend.connections.length).toBe(connections);
    await this.sentinel(side);
    expect(canonical(this.backend.received)).toBe(`GET /sentinel HTTP/1.1\r\nHost: app\r\n${ADDED[side]}\r\n`);
    return answer;
  }

  /** `bytes` are no HTTP to the outbound side, which passes such on unread to where they were going: to nobody, here. */
  async expectNotHttp(bytes: string | Buffer): Promise<void> {
    this.backend.forget();
    expect(await this.ask("outbound", bytes)).toBe("");
    await this.sentinel("outbound");
    expect(canonical(this.backend.received)).toBe(`GET /sentinel HTTP/1.1\r\nHost: app\r\n${ADDED.outbound}\r\n`);
  }

  /** `bytes` are served with `status` and reach the backend as exactly `expected` (see `canonical`), `{added}` filled in. */
  async expectForwarded(side: Side, bytes: string | Buffer, expected: string, status = 200): Promise<string> {
    this.backend.forget();
    const answer = await this.ask(side, bytes, (received) => received.endsWith("\r\n\r\nok"));
    expect(statusOf(answer), answer.slice(0, 300)).toBe(status);
    expect(answer.match(/HTTP\/1\.1 \d{3} /g)).toHaveLength(1);
    await this.sentinel(side);
    const received = canonical(this.backend.received).replace(`GET /sentinel HTTP/1.1\r\nHost: app\r\n${ADDED[side]}\r\n`, "");
    expect(received).toBe(expected.replace("{added}", ADDED[side]));
    return answer;
  }
}
