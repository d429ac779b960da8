import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ProxyPair } from "../integration/proxy-pair.ts";
import { exchange, ProxyUnderTest, statusOf } from "../integration/proxy-under-test.ts";
import { canonical, serviceYaml } from "./hostile-proxy.ts";
import { RawBackend } from "./raw-backend.ts";

const ADDED = "x-forwarded-proto: http\r\nx-request-id: <uuid>\r\nx-envoy-attempt-count: 1\r\n";
const XFCC = /X-Forwarded-Client-Cert: By=spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews;Hash=[0-9a-f]{64};Subject="";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/productpage\r\n/;

/* What a caller's sidecar makes of a message must not mean anything else to the callee's, nor to the application. */
describe("from the caller's sidecar to the callee's application", () => {
  let backend: RawBackend;
  let pair: ProxyPair;
  beforeAll(async () => {
    backend = await RawBackend.listen();
    pair = await ProxyPair.start({ port: backend.port });
  });
  beforeEach(() => backend.forget());
  afterAll(() => {
    pair.stop();
    backend.close();
  });

  const ask = (bytes: string): Promise<string> => exchange(pair.connect(), bytes, (received) => received.endsWith("\r\n\r\nok"));
  /** What the application got, what identifies the caller taken out after a look at it. */
  const arrived = (): string => {
    const text = canonical(backend.received);
    expect(text).toMatch(XFCC);
    return text.replace(XFCC, "");
  };

  it.each([
    ["a body in chunks with extensions and trailers",
      "POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-sum: 1\r\nAuthorization: x\r\n\r\n",
      `POST / HTTP/1.1\r\nHost: reviews\r\n${ADDED}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n`],
    ["a body that looks like a request",
      "POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 45\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n12",
      `POST / HTTP/1.1\r\nHost: reviews\r\n${ADDED}Content-Length: 45\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.test\r\n\r\n12`],
    ["names and values at the edge of what is allowed",
      "GET /a?b=%0d%0aX:%20y HTTP/1.1\r\nHost: reviews\r\n!#$%&'*+-.^_`|~0: \x80\xff\tz\r\nx-empty:\r\n\r\n",
      `GET /a?b=%0d%0aX:%20y HTTP/1.1\r\nHost: reviews\r\n!#$%&'*+-.^_\`|~0: \x80\xff\tz\r\nx-empty: \r\n${ADDED}\r\n`],
    ["fields that only proxies may send",
      "GET / HTTP/1.1\r\nHost: reviews\r\nX-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\nx-envoy-peer-metadata: eA==\r\nx-outrider-error: x\r\nx-envoy-max-retries: 9\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: reviews\r\n${ADDED}\r\n`],
    ["a Connection field that names what the sidecars add",
      "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: x-forwarded-client-cert, x-request-id, x-envoy-peer-metadata\r\nx-request-id: 00000000-0000-4000-8000-000000000000\r\n\r\n",
      `GET / HTTP/1.1\r\nHost: reviews\r\n${ADDED}\r\n`],
  ])("%s", async (_what, bytes, expected) => {
    expect(statusOf(await ask(bytes))).toBe(200);
    expect(arrived()).toBe(expected);
  });

  it("one caller's cut request does not end up before another's", async () => {
    const first = pair.connect();
    first.on("error", () => undefined);
    first.write("POST /cut HTTP/1.1\r\nHost: reviews\r\nContent-Length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\n");
    await exchange(pair.connect(), "GET /other HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    first.resetAndDestroy();
    for (let round = 0; round < 20; round++) {
      const answer = await exchange(pair.connect(), `GET /${round} HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n`);
      expect(statusOf(answer)).toBe(200);
    }
    for (const connection of backend.connections) expect(connection.received.indexOf("GET /smuggled") <= 0 || connection.received.startsWith("POST /cut")).toBe(true);
    const cut = backend.connections.filter((connection) => connection.received.startsWith("POST /cut"));
    expect(cut.every((connection) => (connection.received.match(/ HTTP\/1\.1\r\nHost/g) ?? []).length === 1)).toBe(true);
  });

  it("a response that is malformed at the first hop is 502 at the last, and no byte of it is passed on", async () => {
    backend.answer = (connection) => connection.socket.write("HTTP/1.1 200 OK\r\nX-A: a\r\n\tX-B: b\r\nContent-Length: 2\r\n\r\nok");
    const answer = await exchange(pair.connect(), "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n");
    expect(statusOf(answer)).toBe(502);
    expect(answer).not.toContain("X-B");
  });
});

describe("what the operator's own words can do to a message", () => {
  /*
   * Symptom: with a line end in POD_NAME every request carried a header of its choosing to the peer. Cause: our own
   * identification is written into a field nobody checks any more. Fix: it is made of visible ASCII.
   */
  it("a pod name with a line end adds no header", async () => {
    const backend = await RawBackend.listen();
    const proxy = await ProxyUnderTest.start({ yaml: serviceYaml(backend.port), workload: { podName: "pod\r\nX-Injected: yes\r\nx", namespace: "default" } });
    try {
      const answer = await exchange(proxy.connectOutbound({ address: "127.0.0.77", port: 9080 }), "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
      expect(statusOf(answer)).toBe(200);
      expect(backend.received).not.toMatch(/\r\nX-Injected/);
    } finally {
      proxy.stop();
      backend.close();
    }
  });
});
