import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { exchange, ProxyUnderTest } from "./proxy-under-test.ts";

const yaml = `
apiVersion: v1
kind: Service
metadata: { name: reviews, namespace: default }
spec: { clusterIP: 10.96.0.10, ports: [{ name: http, port: 9080 }] }
`;

describe("failures of gRPC calls", () => {
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    proxy = await ProxyUnderTest.start({ yaml });
  });

  afterAll(() => proxy.stop());

  it("no endpoint: a status in the head, which a gRPC client understands", async () => {
    const request = "POST /pkg.Service/Method HTTP/1.1\r\nHost: reviews\r\nContent-Type: application/grpc+proto\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const answer = await exchange(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }), request);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\r\ncontent-type: application\/grpc\r\n/);
    expect(answer).toMatch(/\r\ngrpc-status: 14\r\ngrpc-message: no healthy upstream\r\n/);
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_code: 200, response_flags: "UH", response_code_details: "no_healthy_upstream" });
  });

  it("gRPC-Web is a protocol of its own and gets the plain answer", async () => {
    const request = "POST /pkg.Service/Method HTTP/1.1\r\nHost: reviews\r\nContent-Type: application/grpc-web\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    const answer = await exchange(proxy.connectOutbound({ address: "10.96.0.10", port: 9080 }), request);
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  });
});
