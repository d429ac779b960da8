import { createServer, type IncomingMessage, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/* What a rule does to a request and its response besides routing it: spec/03 3.3. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("route actions", () => {
  let server: Server;
  let seen: IncomingMessage[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(request);
      response.setHeader("x-from", "application");
      response.setHeader("x-many", ["1", "2"]);
      response.end("body");
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
  });
  afterAll(() => {
    server.close().closeAllConnections();
  });

  const TO_REVIEWS = { route: [{ destination: { host: "reviews" } }] };

  /** Sends one request by that rule; what the application saw is in `seen`. */
  async function through(rule: Resource, question: HttpQuestion = {}, mesh = ""): Promise<HttpAnswer> {
    const yaml = yamlOf(
      service({ name: "reviews", endpoints: [{ port: portOf(server) }] }),
      networking("VirtualService", "reviews", { hosts: ["reviews"], http: [rule] }),
      ...(mesh === "" ? [] : [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh } }]),
    );
    seen = [];
    const proxy = await ProxyUnderTest.start({ yaml });
    try {
      return await ask(proxy.connectOutbound(VIP), question);
    } finally {
      proxy.stop();
    }
  }

  describe("redirect", () => {
    it.each([
      [{ uri: "/new" }, "/old?a=b", 301, "http://reviews:9080/new?a=b"],
      [{ uri: "/new?c=d" }, "/old?a=b", 301, "http://reviews:9080/new?c=d"],
      [{ prefixRewrite: "/new", redirectCode: 308 }, "/old/x?a=b", 308, "http://reviews:9080/new/x?a=b"],
      [{ authority: "other.test" }, "/old", 301, "http://other.test/old"],
      [{ scheme: "https", redirectCode: 302 }, "/old", 302, "https://reviews:9080/old"],
      [{ scheme: "https", port: 443 }, "/old", 301, "https://reviews/old"],
      [{ port: 80 }, "/old", 301, "http://reviews/old"],
      [{ port: 8080 }, "/old", 301, "http://reviews:8080/old"],
      [{ scheme: "https", derivePort: "FROM_PROTOCOL_DEFAULT" }, "/old", 301, "https://reviews/old"],
      [{ authority: "other.test", derivePort: "FROM_REQUEST_PORT" }, "/old", 301, "http://other.test:9080/old"],
    ])("%j of %s", async (redirect, path, status, location) => {
      const answer = await through({ match: [{ uri: { prefix: "/old" } }], redirect }, { host: "reviews:9080", path });
      expect([answer.status, answer.headers.location, answer.body]).toEqual([status, location, ""]);
      expect(seen).toEqual([]);
    });

    it.each([
      [{ scheme: "https" }, "reviews:80", "https://reviews/x"],
      [{ scheme: "https" }, "reviews:443", "https://reviews/x"],
      [{ scheme: "https", authority: "other.test:80" }, "reviews", "https://other.test:80/x"],
      [{ uri: "/y" }, "reviews:443", "http://reviews:443/y"],
    ])("%j of Host: %s leaves out the port that the scheme before had by default", async (redirect, host, location) => {
      expect((await through({ match: [{ uri: { prefix: "/x" } }], redirect }, { host, path: "/x" })).headers.location).toBe(location);
    });
  });

  it("redirects OPTIONS * to the server as a whole", async () => {
    const answer = await through({ redirect: { authority: "other.test" } }, { method: "OPTIONS", path: "*" });
    expect([answer.status, answer.headers.location]).toEqual([301, "http://other.test"]);
  });

  describe("rewrite", () => {
    it.each([
      [{ uri: { prefix: "/api/" } }, { uri: "/" }, "/api/x?q=1", "/x?q=1"],
      [{ uri: { prefix: "/api" } }, { uri: "/v1" }, "/api/x", "/v1/x"],
      [{ uri: { prefix: "/API" }, ignoreUriCase: true }, { uri: "/v1" }, "/api/x", "/v1/x"],
      [{ uri: { exact: "/api" } }, { uri: "/v1" }, "/api?q", "/v1?q"],
      [{ uri: { regex: "/a.i/.*" } }, { uri: "/v1" }, "/api/x", "/v1"],
      [{ method: { exact: "GET" } }, { uri: "/v2/" }, "/x", "/v2/x"],
      [{ uri: { prefix: "/" } }, { uriRegexRewrite: { match: "^/user/([^/]+)(/.*)$", rewrite: String.raw`\2/of/\1` } }, "/user/jane/books?q=/user/", "/books/of/jane?q=/user/"],
    ])("%j by %j: %s is sent as %s", async (match, rewrite, path, sent) => {
      expect((await through({ match: [match], rewrite, ...TO_REVIEWS }, { path })).status).toBe(200);
      expect([seen[0]?.url, seen[0]?.headers["x-envoy-original-path"]]).toEqual([sent, path]);
    });

    it("what comes of it has the form that policies are checked in", async () => {
      // Istio would send `//x`.
      await through({ match: [{ uri: { prefix: "/api" } }], rewrite: { uri: "/" }, ...TO_REVIEWS }, { path: "/api/x" });
      expect(seen[0]?.url).toBe("/x");
      await through({ match: [{ uri: { prefix: "/api" } }], rewrite: { uri: "/" }, ...TO_REVIEWS }, { path: "/api/x" }, "pathNormalization: { normalization: BASE }");
      expect(seen[0]?.url).toBe("//x");
    });

    it("a path that cannot be sent is answered 500, never sent", async () => {
      const answer = await through({ rewrite: { uriRegexRewrite: { match: "^/", rewrite: "x" } }, ...TO_REVIEWS }, { path: "/x" });
      expect([answer.status, answer.headers["x-outrider-error"], seen]).toEqual([500, "rewrite", []]);
    });

    it("says nothing of the path before where it stays", async () => {
      await through({ rewrite: { uri: "/" }, ...TO_REVIEWS }, { path: "/x" });
      expect([seen[0]?.url, seen[0]?.headers["x-envoy-original-path"]]).toEqual(["/x", undefined]);
    });

    it("leaves the * of OPTIONS alone, which is no path", async () => {
      expect((await through({ rewrite: { uri: "/v1" }, ...TO_REVIEWS }, { method: "OPTIONS", path: "*" })).status).toBe(200);
      expect([seen[0]?.url, seen[0]?.headers["x-envoy-original-path"]]).toEqual(["*", undefined]);
    });

    it("the authority", async () => {
      await through({ rewrite: { authority: "other.test:8080" }, ...TO_REVIEWS });
      expect(seen[0]?.headers.host).toBe("other.test:8080");
      await through({ headers: { request: { set: { ":authority": "third.test" } } }, ...TO_REVIEWS });
      expect(seen[0]?.headers.host).toBe("third.test");
    });
  });

  describe("headers", () => {
    it("of the request are removed, set and added", async () => {
      const headers = { request: { remove: ["X-Gone"], set: { "x-set": "new", "x-user": "%REQ(x-name)%/%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%" }, add: { "x-add": "2", "x-percent": "100%%" } } };
      await through({ headers, ...TO_REVIEWS }, { headers: { "x-gone": "1", "x-set": "old", "x-add": "1", "x-name": "jane" } });
      expect(seen[0]?.headers).toMatchObject({ "x-set": "new", "x-add": "1, 2", "x-user": "jane/127.77.0.1", "x-percent": "100%" });
      expect(seen[0]?.headers["x-gone"]).toBeUndefined();
    });

    it("of the response too, whoever answers", async () => {
      const headers = { response: { remove: ["x-many"], set: { "x-from": "sidecar" }, add: { "x-code": "%RESPONSE_CODE%" } } };
      expect((await through({ headers, ...TO_REVIEWS })).headers).toMatchObject({ "x-from": "sidecar", "x-code": "200" });
      const direct = await through({ headers, directResponse: { status: 418, body: { string: "teapot" } } });
      expect(direct.headers).toMatchObject({ "x-from": "sidecar", "x-code": "418", "content-type": "text/plain" });
      expect((await through({ headers, redirect: { uri: "/x" } })).headers).toMatchObject({ "x-from": "sidecar", "x-code": "301" });
    });

    it("a direct response has the type that its rule gives it", async () => {
      const json = await through({ headers: { response: { set: { "content-type": "application/json" } } }, directResponse: { status: 200, body: { bytes: "e30=" } } });
      expect([json.headers["content-type"], json.body]).toEqual(["application/json", "{}"]);
    });

    it("that frame a message are made by who sends it, whatever a rule says", async () => {
      const framing = { "content-length": "7", "transfer-encoding": "chunked", connection: "close", expect: "100-continue" };
      const answer = await through({ headers: { request: { set: framing }, response: { set: framing, add: framing } }, ...TO_REVIEWS }, { method: "POST", body: "four" });
      expect(answer.status).toBe(200);
      expect(seen[0]?.rawHeaders.filter((name) => /^(?:content-length|transfer-encoding|expect)$/i.test(name))).toHaveLength(1);
      expect(seen[0]?.headers["content-length"]).toBe("4");
    });

    it("a value that comes out empty is not sent, and what is there stays", async () => {
      await through({ headers: { request: { set: { "x-a": "%REQ(x-none)%" }, add: { "x-b": "%REQ(x-none)%" } } }, ...TO_REVIEWS }, { headers: { "x-a": "kept" } });
      expect([seen[0]?.headers["x-a"], seen[0]?.headers["x-b"]]).toEqual(["kept", undefined]);
    });

    it("of a destination are made for those that go there", async () => {
      const to = (name: string, weight: number): Resource => ({ destination: { host: "reviews" }, weight, headers: { request: { set: { "x-to": name } }, response: { set: { "x-to": name } } } });
      const answer = await through({ route: [to("a", 100), to("b", 0)], headers: { request: { add: { "x-to": "rule" } } } });
      expect([seen[0]?.headers["x-to"], answer.headers["x-to"]]).toEqual(["a, rule", "a"]);
    });
  });
});
