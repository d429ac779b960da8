import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { eventually, exchange, ProxyUnderTest, statusOf } from "./proxy-under-test.ts";

/** A callee's sidecar on loopback: inbound through its capture port, since the endpoint's address is that port. */
const mesh = (inboundPort: number, extra = ""): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec:
  clusterIP: 10.96.0.10
  selector: { app: reviews }
  ports: [{ name: http, port: 9080, targetPort: ${inboundPort} }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: reviews-1, namespace: default, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ name: http, port: ${inboundPort} }]
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true }, targetRef: { kind: Pod, name: reviews-1, namespace: default } }]
---
apiVersion: v1
kind: Pod
metadata: { name: reviews-1, namespace: default, labels: { app: reviews, version: v1, security.istio.io/tlsMode: istio } }
spec: { serviceAccountName: reviews }
status: { podIP: 127.0.0.1 }
---
${extra}`;

const strict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;

describe("two proxies in process", () => {
  const seen: IncomingMessage[] = [];
  const application = createServer((request, response) => {
    seen.push(request);
    request.resume();
    request.on("end", () => response.end("hello"));
  });
  let callee: ProxyUnderTest;
  let caller: ProxyUnderTest;
  let appPort = 0;

  beforeAll(async () => {
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    appPort = (application.address() as AddressInfo).port;
    callee = await ProxyUnderTest.start({ yaml: mesh(appPort, strict), workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews", version: "v1" } } });
    callee.destination = { address: "127.0.0.1", port: appPort };
    caller = await ProxyUnderTest.start({ yaml: mesh(callee.inboundPort, strict), workload: { serviceAccount: "productpage", labels: { app: "productpage" } } });
  });

  afterAll(() => {
    caller.stop();
    callee.stop();
    application.close();
  });

  const ask = (request: string): Promise<string> => exchange(caller.connectOutbound({ address: "10.96.0.10", port: 9080 }), request, (received) => received.endsWith("hello") || received.includes("\r\n\r\n0"));

  it("a request goes through mutual TLS and tells the application who called", async () => {
    const answer = await ask("GET /a?b=c HTTP/1.1\r\nHost: reviews\r\nX-CaSe: Kept\r\n\r\n");
    expect(statusOf(answer)).toBe(200);
    const request = seen.at(-1);
    expect(request?.url).toBe("/a?b=c");
    expect(request?.rawHeaders).toContain("X-CaSe");
    expect(request?.headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/productpage");
    expect(request?.headers["x-envoy-peer-metadata"]).toBeUndefined();
    expect(request?.socket.remoteAddress).toBe("127.0.0.6");
  });

  it("both sides count the request with both workloads", async () => {
    await ask("GET /counted HTTP/1.1\r\nHost: reviews\r\n\r\n");
    await eventually(async () => (await callee.metrics()).includes('reporter="destination",source_workload="test'), "the callee counted");
    expect(await callee.metrics()).toMatch(/source_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/productpage"[^}]*connection_security_policy="mutual_tls"/);
    expect(await caller.metrics()).toMatch(/reporter="source"[^}]*destination_principal="spiffe:\/\/cluster.local\/ns\/default\/sa\/reviews"[^}]*destination_service_name="reviews"/);
    expect(caller.accessLog.at(-1)).toMatchObject({ path: "/counted", response_code: 200, upstream_cluster: "outbound|9080||reviews.default.svc.cluster.local" });
  });

  it("a host nobody knows on a known port passes through to where it was going", async () => {
    const answer = await exchange(caller.connectOutbound({ address: "127.0.0.1", port: appPort }), "GET /plain HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n");
    expect(statusOf(answer)).toBe(200);
    expect(seen.at(-1)?.headers["x-request-id"]).toBeUndefined();
  });

  it("plaintext to the callee is refused and named", async () => {
    const answer = await exchange(callee.connectInbound(appPort), "GET / HTTP/1.1\r\nHost: reviews\r\n\r\n");
    expect(answer).toBe("");
    expect(callee.logLines.join("\n")).toContain("plaintext_on_strict_port");
  });
});
