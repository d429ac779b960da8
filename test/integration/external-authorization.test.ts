import type { Duplex } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { AuthorizationStage } from "./authorization-stage.ts";
import { security } from "./mesh-resources.ts";
import { eventually, exchange } from "./proxy-under-test.ts";

/*
 * External authorization over HTTP (spec/05 5.5, "CUSTOM"), each option of its table, behind real sidecars.
 */

let stage: AuthorizationStage;

beforeAll(async () => {
  stage = await AuthorizationStage.start();
});
beforeEach(() => {
  stage.authorizer.reset();
  stage.application.requests.length = 0;
  stage.callee.accessLog.length = 0;
});
afterAll(() => stage.stop());

const logged = async (): Promise<Record<string, unknown>> => {
  await eventually(() => stage.callee.accessLog.length > 0, "it was logged");
  return stage.callee.accessLog[0] as Record<string, unknown>;
};

describe("a CUSTOM policy", () => {
  it("has its provider asked with the same method and path, and the headers that always go", async () => {
    await stage.apply({});
    const answer = await stage.ask("/ask/me?a=1", { method: "DELETE", headers: { authorization: "Bearer t", cookie: "c=1", "x-user": "u" } });
    expect([answer.status, answer.body]).toEqual([200, "application"]);
    expect(stage.authorizer.last).toMatchObject({ method: "DELETE", path: "/ask/me?a=1", headers: { host: "reviews", authorization: "Bearer t" } });
    expect(Object.keys(stage.authorizer.last.headers).toSorted()).toEqual(["authorization", "host"]);
    expect(stage.application.requests[0]).toMatchObject({ method: "DELETE", url: "/ask/me?a=1" });
  });

  it("does not have it asked about what no rule matches", async () => {
    const before = await stage.count("envoy_cluster_ext_authz_disabled");
    expect((await stage.ask("/free")).status).toBe(200);
    expect(stage.authorizer.questions).toEqual([]);
    expect(await stage.count("envoy_cluster_ext_authz_disabled", 'provider="opa"')).toBe(before + 1);
  });

  it("denies with the provider's status, headers and body, and remembers why", async () => {
    stage.authorizer.says = () => ({ status: 429, headers: { "retry-after": "7", "set-cookie": ["a=1", "b=2"], "content-type": "image/x" }, body: Buffer.from([0xff, 0x00, 0x41]) });
    const answer = await stage.ask("/ask");
    expect(answer).toMatchObject({ status: 429, body: "\u00ff\u0000A", headers: { "retry-after": "7", "set-cookie": ["a=1", "b=2"], "content-type": "image/x", "content-length": "3" } });
    expect(stage.application.requests).toEqual([]);
    expect(await logged()).toMatchObject({ response_code: 429, response_flags: "UAEX", response_code_details: "ext_authz_denied", authz: { policy: "default/ask", rule: 0 } });
    const id = /^deny; id=(.{12})$/.exec(String(answer.headers["x-outrider-authz"]))?.[1] ?? "";
    expect(stage.callee.denial(id)).toMatchObject({
      said: 'provider "opa" denied it with 429',
      reason: 'rule 0 leaves it to provider "opa", having matched it: to.operation.paths is "/ask"; provider "opa" denied it with 429',
      rule: { resource: "AuthorizationPolicy default/ask", rule: 0 },
    });
    expect(await stage.count("envoy_cluster_ext_authz_denied", 'cluster_name="outbound|8000||authz.security.svc.cluster.local"')).toBe(1);
    expect(await stage.count("envoy_http_ext_authz_denied", 'http_conn_manager_prefix="inbound"')).toBe(1);
  });

  it("takes nothing but 200 for a yes", async () => {
    for (const status of [201, 204, 302, 401, 404]) {
      stage.authorizer.says = () => ({ status });
      expect((await stage.ask("/ask")).status).toBe(status);
    }
    expect(stage.application.requests).toEqual([]);
  });

  it("answers gRPC in its own form", async () => {
    stage.authorizer.says = () => ({ status: 403, headers: { "content-type": "text/html", "x-why": "because" }, body: "no way" });
    const answer = await stage.ask("/ask", { method: "POST", headers: { "content-type": "application/grpc" } });
    expect(answer).toMatchObject({ status: 200, body: "", headers: { "content-type": "application/grpc", "grpc-status": "7", "grpc-message": "no way", "x-why": "because" } });
  });

  it("comes before DENY and ALLOW, which decide about what it allows", async () => {
    await stage.apply({ more: [security("AuthorizationPolicy", "closed", { action: "DENY", rules: [{ to: [{ operation: { paths: ["/ask/denied"] } }] }] })] });
    expect((await stage.ask("/ask/denied")).body).toBe("RBAC: access denied");
    expect(stage.authorizer.questions).toHaveLength(1);
    stage.authorizer.says = () => ({ status: 401 });
    expect((await stage.ask("/ask/denied")).status).toBe(401);
  });

  it("is looked on by AUDIT policies, and leaves those in dry run alone", async () => {
    const dryRun = { ...security("AuthorizationPolicy", "tighter", { action: "DENY", rules: [{}] }), metadata: { name: "tighter", namespace: "default", annotations: { "istio.io/dry-run": "true" } } };
    await stage.apply({ more: [security("AuthorizationPolicy", "watch", { action: "AUDIT", rules: [{}] }), dryRun] });
    expect((await stage.ask("/ask/yes")).status).toBe(200);
    stage.authorizer.says = () => ({ status: 403 });
    expect((await stage.ask("/ask/no")).status).toBe(403);
    await eventually(() => stage.callee.accessLog.length === 2, "both were logged");
    expect(stage.callee.accessLog.map(({ authz }) => authz)).toMatchObject([
      { policy: null, audit: "default/watch", dry_run: "default/tighter" }, { policy: "default/ask", audit: "default/watch", dry_run: null },
    ]);
    expect(stage.callee.dryRuns(), "what the provider refused, no other policy would have").toMatchObject([{ policy: "default/tighter", wouldDeny: 1 }]);
  });

  it("is told of a path as it is sent on, not as it came (B01, B02)", async () => {
    await stage.apply({});
    await stage.ask("/x/..%2f/%61sk//me");
    expect([stage.authorizer.last.path, stage.application.requests[0]?.url]).toEqual(["/ask/me", "/ask/me"]);
  });
});

describe("a WebSocket", () => {
  const upgrade = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`;
  const echo = (_request: unknown, socket: Duplex): void => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.on("error", () => undefined);
    socket.pipe(socket);
  };

  it("is asked about before it is one, and then is nobody's business", async () => {
    await stage.apply({});
    stage.application.server.on("upgrade", echo);
    const socket = stage.pair.connect();
    let isOpen = false;
    const received = await exchange(socket, upgrade("/ask"), (text) => {
      if (!isOpen && text.includes("\r\n\r\n")) {
        isOpen = true;
        socket.write("ping");
      }
      return text.endsWith("ping");
    });
    expect(received).toMatch(/^HTTP\/1\.1 101 /);
    expect(stage.authorizer.questions).toHaveLength(1);
    stage.application.server.off("upgrade", echo);
  });

  it("that is refused never reaches the application, nor do the bytes that came too early", async () => {
    stage.authorizer.says = () => ({ status: 403 });
    const reached: string[] = [];
    const note = (request: { url?: string | undefined }, socket: Duplex): void => {
      reached.push(request.url ?? "");
      socket.destroy();
    };
    stage.application.server.on("upgrade", note);
    expect(await exchange(stage.pair.connect(), `${upgrade("/ask/denied")}GET /smuggled HTTP/1.1\r\nHost: reviews\r\n\r\n`)).toMatch(/^HTTP\/1\.1 403 /);
    expect([reached, stage.application.requests]).toEqual([[], []]);
    stage.application.server.off("upgrade", note);
  });
});

describe("the options of a provider", () => {
  it("pathPrefix goes before the path", async () => {
    await stage.apply({ provider: { pathPrefix: "/check" } });
    await stage.ask("/ask/me?q");
    expect(stage.authorizer.last.path).toBe("/check/ask/me?q");
    expect(stage.application.requests[0]?.url).toBe("/ask/me?q");
  });

  it("includeRequestHeadersInCheck names headers exactly, by their beginning or their end", async () => {
    await stage.apply({ provider: { includeRequestHeadersInCheck: ["X-One", "x-two-*", "*-three", "cookie"] } });
    await stage.ask("/ask", { headers: { "x-one": ["1", "2"], "X-Two-A": "a", "x-three": "3", "x-other": "o", cookie: "c=1" } });
    expect(stage.authorizer.last.headers).toEqual({ host: "reviews", "x-one": "1, 2", "x-two-a": "a", "x-three": "3", cookie: "c=1" });
  });

  it("includeAdditionalHeadersInCheck takes the place of what the client sent", async () => {
    await stage.apply({ provider: { includeRequestHeadersInCheck: ["x-tenant"], includeAdditionalHeadersInCheck: { "X-Tenant": "ours", "x-more": "m" } } });
    await stage.ask("/ask", { headers: { "x-tenant": "theirs" } });
    expect(stage.authorizer.last.headers).toEqual({ host: "reviews", "x-tenant": "ours", "x-more": "m" });
    expect(stage.application.requests[0]?.headers).toMatchObject({ "x-tenant": "theirs" });
  });

  it("headersToUpstreamOnAllow replaces what the client made up", async () => {
    await stage.apply({ provider: { headersToUpstreamOnAllow: ["x-user", "x-group-*"] } });
    stage.authorizer.says = () => ({ status: 200, headers: { "x-user": "alice", "X-Group-A": ["1", "2"], "x-secret": "s" } });
    await stage.ask("/ask", { headers: { "x-user": ["root", "admin"], "x-keep": "k" } });
    const { headers } = stage.application.requests[0] ?? {};
    expect(headers).toMatchObject({ "x-user": "alice", "x-group-a": "1, 2", "x-keep": "k" });
    expect(headers).not.toHaveProperty("x-secret");
  });

  it("headersToUpstreamOnAllow cannot frame a message or name another host", async () => {
    await stage.apply({ provider: { headersToUpstreamOnAllow: ["*t", "te*", "*h", "*-encoding", "connection"] } });
    stage.authorizer.says = () => (response) => {
      response.socket?.end("HTTP/1.1 200 OK\r\nHost: evil\r\nTE: trailers\r\nExpect: x\r\nX-Fit: 1\r\nContent-Length: 0\r\n\r\n");
    };
    const answer = await stage.ask("/ask", { method: "POST", body: "body" });
    expect(answer.status).toBe(200);
    expect(stage.application.requests[0]?.headers).toMatchObject({ host: "reviews", "x-fit": "1", "content-length": "4" });
    expect(stage.application.requests[0]?.headers).not.toHaveProperty("te");
  });

  it("the authorizer may take headers away, but none of the framing", async () => {
    await stage.apply({});
    stage.authorizer.says = () => ({ status: 200, headers: { "x-envoy-auth-headers-to-remove": "X-User, host, content-length, :path" } });
    await stage.ask("/ask", { method: "POST", body: "body", headers: { "x-user": "u" } });
    expect(stage.application.requests[0]?.headers).toMatchObject({ host: "reviews", "content-length": "4" });
    expect(stage.application.requests[0]?.headers).not.toHaveProperty("x-user");
  });

  it("headersToDownstreamOnAllow are added to the response", async () => {
    await stage.apply({ provider: { headersToDownstreamOnAllow: ["set-cookie", "x-seen*"] } });
    stage.authorizer.says = () => ({ status: 200, headers: { "set-cookie": ["s=1", "t=2"], "x-seen-by": "opa", "x-other": "o" } });
    const { status, headers } = await stage.ask("/ask");
    expect([status, headers["set-cookie"], headers["x-seen-by"], headers["x-other"]]).toEqual([200, ["s=1", "t=2"], "opa", undefined]);
  });

  it("headersToDownstreamOnDeny are all that goes with a refusal, beside where to go and how to authenticate", async () => {
    await stage.apply({ provider: { headersToDownstreamOnDeny: ["x-why"] } });
    stage.authorizer.says = () => ({ status: 302, headers: { "x-why": "w", "x-secret": "s", location: "/login", "www-authenticate": "Basic" }, body: "go" });
    const { status, headers, body } = await stage.ask("/ask");
    expect([status, headers["x-why"], headers["x-secret"], headers.location, headers["www-authenticate"], body]).toEqual([302, "w", undefined, "/login", "Basic", "go"]);
  });

  it("timeout bounds the wait, statusOnError says so", async () => {
    await stage.apply({ provider: { timeout: "50ms", statusOnError: "503" } });
    stage.authorizer.says = () => () => undefined;
    const answer = await stage.ask("/ask");
    expect([answer.status, answer.body]).toEqual([503, ""]);
    expect(await logged()).toMatchObject({ response_flags: "UAEX", response_code_details: "ext_authz_error" });
    expect(stage.application.requests).toEqual([]);
    await eventually(() => stage.authorizer.abandoned === 1, "the question was given up");
    expect(await stage.count("envoy_cluster_ext_authz_error")).toBe(1);
    expect(stage.callee.logLines.find((line) => line.includes("external authorizer not asked"))).toContain("did not answer in time");
  });

  it("failOpen lets through what nobody could be asked about, and what was answered with 5xx", async () => {
    await stage.apply({ provider: { failOpen: true } });
    stage.authorizer.says = () => ({ status: 500 });
    expect((await stage.ask("/ask")).status).toBe(200);
    stage.authorizer.says = () => (response) => response.socket?.destroy();
    expect((await stage.ask("/ask")).status).toBe(200);
    stage.authorizer.says = () => ({ status: 403 });
    expect((await stage.ask("/ask")).status, "a refusal is none").toBe(403);
    expect(await stage.count("envoy_cluster_ext_authz_failure_mode_allowed")).toBe(2);
  });

  it("5xx without failOpen is an error: 403", async () => {
    await stage.apply({});
    stage.authorizer.says = () => ({ status: 500, body: "secret stack trace" });
    expect(await stage.ask("/ask")).toMatchObject({ status: 403, body: "" });
    expect(await logged()).toMatchObject({ response_code_details: "ext_authz_error" });
  });

  it("clearRouteCache looks for the route again", async () => {
    await stage.apply({ provider: { clearRouteCache: true, headersToUpstreamOnAllow: ["x-user"] } });
    stage.authorizer.says = () => ({ status: 200, headers: { "x-user": "alice" } });
    expect((await stage.ask("/ask")).status).toBe(200);
    expect(stage.application.requests[0]?.headers["x-user"]).toBe("alice");
  });
});
