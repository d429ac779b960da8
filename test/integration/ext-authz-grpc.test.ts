import { type IncomingHttpHeaders, sensitiveHeaders, type ServerHttp2Stream } from "node:http2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { CheckResponseMessage } from "../unit/filter/ext-authz-proto.ts";
import { CALLER, GrpcStage } from "./ext-authz-stage.ts";
import { beginAnswer, GrpcApplication } from "./grpc-peers.ts";
import { networking, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { OpaServer } from "./opa-server.ts";
import { STRICT } from "./proxy-pair.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";

let opa: OpaServer;
let stage: GrpcStage;

beforeAll(async () => {
  opa = await OpaServer.overGrpc();
  stage = await GrpcStage.start({ authorizerPort: opa.port });
});
afterAll(() => {
  stage.stop();
  opa.stop();
});
beforeEach(async () => {
  opa.answer = null;
  opa.document = { allow: [{}] };
  opa.questions.splice(0);
  stage.served.splice(0);
  stage.proxy.accessLog.splice(0);
});
afterEach(() => stage.apply({}));

const logged = async (path: string): Promise<Record<string, unknown>> => {
  await eventually(() => stage.proxy.accessLog.some((line) => line["path"] === path), `an access-log line for ${path}`);
  return stage.proxy.accessLog.find((line) => line["path"] === path) ?? {};
};
const allowing = (ok_response: NonNullable<CheckResponseMessage["ok_response"]>): void => {
  opa.answer = () => ({ status: { code: 0 }, ok_response });
};

describe("a request that an authorizer over gRPC is asked about", () => {
  it("is told of whole, as it would be sent on", async () => {
    const answer = await stage.call("/a/../b/%7Ec?x=1", { method: "POST", headers: { "x-one": "1", cookie: "a=b" }, body: "hello" });
    expect([answer.status, answer.body]).toEqual([200, "ok"]);
    const { message, metadata } = opa.last;
    expect(message?.attributes).toMatchObject({
      source: { principal: CALLER, address: { socket_address: { address: expect.stringMatching(/^127\./), port_value: expect.any(Number) } } },
      destination: { principal: "spiffe://cluster.local/ns/default/sa/api", address: { socket_address: { address: "127.0.0.1", port_value: stage.applicationPort } } },
      request: { http: { method: "POST", path: "/b/~c?x=1", host: "api", scheme: "https", protocol: "HTTP/1.1", size: "5", headers: { "x-one": "1", cookie: "a=b", ":path": "/b/~c?x=1" } } },
      tls_session: { sni: "outbound_.9080_._.reviews.default.svc.cluster.local" },
    });
    expect(message?.attributes.request?.http.headers["x-request-id"]).toBe(message?.attributes.request?.http.id);
    expect(stage.served[0]).toMatchObject({ url: "/b/~c?x=1", body: "hello" });
    expect(metadata["user-agent"]).toBe("outrider");
  });

  it("is denied with the status, headers and body of the authorizer's choice", async () => {
    opa.answer = () => ({ status: { code: 16 }, denied_response: { status: { code: 401 }, body: "log in", headers: [
      { header: { key: "WWW-Authenticate", value: 'Bearer realm="x"' } }, { header: { key: "set-cookie", value: "a=1" } }, { header: { key: "set-cookie", value: "b=2" } },
      { header: { key: "content-length", value: "7" } }, { header: { key: "transfer-encoding", value: "chunked" } }, { header: { key: "connection", value: "x-one" } },
    ] } });
    const answer = await stage.call("/secret");
    expect([answer.status, answer.body]).toEqual([401, "log in"]);
    expect(answer.headers).toMatchObject({ "www-authenticate": 'Bearer realm="x"', "set-cookie": ["a=1", "b=2"], "content-type": "text/plain", "content-length": "6" });
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
    expect(stage.served).toEqual([]);
    expect(await logged("/secret")).toMatchObject({ response_code: 401, response_flags: "UAEX", response_code_details: "ext_authz_denied", authz: { policy: "default/ask", rule: 0 } });
    const id = /id=(\w+)/.exec(String(answer.headers["x-outrider-authz"]))?.[1] ?? "";
    expect(stage.proxy.denial(id)).toMatchObject({ said: 'provider "opa" denied it with 401', request: { path: "/secret", peer: CALLER } });
  });

  it("is denied with 403 where it says nothing else", async () => {
    opa.answer = () => ({ status: { code: 7 } });
    expect(await stage.call("/")).toMatchObject({ status: 403, body: "" });
  });

  it("is denied in gRPC's own form if it is gRPC's", async () => {
    opa.document = { allow: [] };
    const { status, headers, body } = await stage.call("/pkg.Service/Method", { method: "POST", headers: { "content-type": "application/grpc", "content-length": "0" } });
    expect([status, headers["grpc-status"], headers["grpc-message"], headers["x-decided-by"], body]).toEqual([200, "7", "denied by document", "opa", ""]);
  });

  it("has a body only where the status of the denial may have one", async () => {
    opa.answer = () => ({ status: { code: 7 }, denied_response: { status: { code: 304 }, body: "x" } });
    const answer = await stage.call("/");
    expect([answer.status, answer.body, answer.headers["content-type"]]).toEqual([304, "", undefined]);
  });
});

describe("what an allowed request becomes", () => {
  it("headers take the place of what the client wrote, are added, or only replaced", async () => {
    allowing({
      headers: [
        { header: { key: "X-User", value: "zo\u00eb" } }, { header: { key: "x-tag", value: "b" }, append: { value: true } },
        { header: { key: "x-new", value: "n" }, append_action: 1 }, { header: { key: "x-kept", value: "no" }, append_action: 1 },
        { header: { key: "x-old", value: "o" }, append_action: 3 }, { header: { key: "x-none", value: "no" }, append_action: 3 },
      ],
      headers_to_remove: ["Authorization"],
    });
    await stage.call("/", { headers: { "x-user": "root", "x-tag": "a", "x-kept": "yes", "x-old": "x", authorization: "Bearer t" } });
    const headers = stage.served[0]?.headers ?? {};
    expect(headers).toMatchObject({ "x-user": Buffer.from("zo\u00eb").toString("latin1"), "x-tag": "a, b", "x-new": "n", "x-kept": "yes", "x-old": "o" });
    expect(headers["x-none"]).toBeUndefined();
    expect(headers.authorization).toBeUndefined();
  });

  it("what it was routed, judged and framed by is not changed", async () => {
    allowing({
      headers: [":path", ":method", ":authority", "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"].map((key) => ({ header: { key, value: "9" } })),
      headers_to_remove: ["host", ":path", ":authority"],
    });
    const answer = await stage.call("/x", { method: "POST", body: "hello" });
    expect(answer.status).toBe(200);
    expect(stage.served[0]).toMatchObject({ method: "POST", url: "/x", body: "hello", headers: { host: "api" } });
    for (const name of ["te", "trailer", "upgrade", "expect"]) expect(stage.served[0]?.headers[name]).toBeUndefined();
  });

  it("query parameters are set and taken out, and policies after it see the same", async () => {
    await stage.apply({ resources: [] });
    allowing({ query_parameters_to_set: [{ key: "user", value: "a b&c" }], query_parameters_to_remove: ["token"] });
    await stage.call("/x?token=secret&page=2&user=root");
    expect(stage.served[0]?.url).toBe("/x?page=2&user=a%20b%26c");
  });

  it("its response is changed as well", async () => {
    allowing({ response_headers_to_add: [
      { header: { key: "x-added", value: "1" } }, { header: { key: "x-app", value: "more" } }, { header: { key: "x-app", value: "no" }, append_action: 1 },
      { header: { key: "x-absent", value: "a" }, append_action: 1 }, { header: { key: "content-length", value: "99" } },
    ] });
    const answer = await stage.call("/");
    expect(answer.headers).toMatchObject({ "x-added": "1", "x-app": "yes, more", "x-absent": "a", "content-length": "2" });
    allowing({ response_headers_to_add: [{ header: { key: "x-app", value: "ours" }, append_action: 2 }, { header: { key: "x-none", value: "x" }, append_action: 3 }] });
    const replaced = await stage.call("/");
    expect([replaced.headers["x-app"], replaced.headers["x-none"]]).toEqual(["ours", undefined]);
  });

  it("the policies after it judge what it has become", async () => {
    const deny = { apiVersion: "security.istio.io/v1", kind: "AuthorizationPolicy", metadata: { name: "no-root", namespace: "default" }, spec: { action: "DENY", rules: [{ when: [{ key: "request.headers[x-user]", values: ["root"] }] }] } };
    await stage.apply({ resources: [deny] });
    allowing({ headers: [{ header: { key: "x-user", value: "root" } }] });
    expect((await stage.call("/")).status).toBe(403);
    allowing({ headers: [{ header: { key: "x-user", value: "guest" } }] });
    expect((await stage.call("/", { headers: { "x-user": "root" } })).status).toBe(200);
  });
});

describe("who cannot be asked, or does not answer", () => {
  it.each([
    ["UNAVAILABLE", 14], ["UNKNOWN", 2], ["PERMISSION_DENIED of the call itself", 7],
  ])("a gRPC status is an error: %s", async (_about, grpcStatus) => {
    opa.answer = () => ({ grpcStatus, grpcMessage: "no" });
    const answer = await stage.call("/e");
    expect([answer.status, answer.body]).toEqual([403, ""]);
    expect(await logged("/e")).toMatchObject({ response_flags: "UAEX", response_code_details: "ext_authz_error" });
    const id = /id=(\w+)/.exec(String(answer.headers["x-outrider-authz"]))?.[1] ?? "";
    expect(stage.proxy.denial(id)?.said).toContain(`gRPC status ${grpcStatus}: no`);
  });

  it("statusOnError is what is answered, failOpen lets pass", async () => {
    opa.answer = () => ({ grpcStatus: 14, grpcMessage: "" });
    await stage.apply({ provider: { statusOnError: "503" } });
    expect((await stage.call("/")).status).toBe(503);
    await stage.apply({ provider: { failOpen: true } });
    expect((await stage.call("/")).status).toBe(200);
    // What it refuses is refused all the same.
    opa.answer = () => ({ status: { code: 13 }, denied_response: { status: { code: 503 } } });
    expect((await stage.call("/")).status).toBe(503);
  });

  it("error_response says what to answer, where that is not failOpen", async () => {
    opa.answer = () => ({ status: { code: 13 }, error_response: { status: { code: 502 }, body: "try later", headers: [{ header: { key: "retry-after", value: "3" } }] } });
    const answer = await stage.call("/er");
    expect([answer.status, answer.body, answer.headers["retry-after"]]).toEqual([502, "try later", "3"]);
    expect(await logged("/er")).toMatchObject({ response_code_details: "ext_authz_error" });
    await stage.apply({ provider: { failOpen: true } });
    expect((await stage.call("/")).status).toBe(200);
  });

  it("a header that cannot be written makes the whole answer none: CVE-2023-27493", async () => {
    allowing({ headers: [{ header: { key: "x-user", value: "a\r\nx-role: admin" } }] });
    expect((await stage.call("/")).status).toBe(403);
    expect(stage.served).toEqual([]);
  });

  it("a deadline is sent along, and kept", async () => {
    let answerLate: () => void = () => undefined;
    opa.answer = () => new Promise((resolve) => (answerLate = () => resolve({ status: { code: 0 } })));
    await stage.apply({ provider: { timeout: "0.2s" } });
    const startedAtMs = Date.now();
    const answer = await stage.call("/late");
    expect(opa.last.deadlineMs).toBeGreaterThanOrEqual(startedAtMs);
    expect(opa.last.deadlineMs).toBeLessThanOrEqual(Date.now() + 200);
    expect(answer.status).toBe(403);
    expect(await logged("/late")).toMatchObject({ response_code_details: "ext_authz_error" });
    await eventually(() => opa.last.isCancelled, "the call is cancelled at the authorizer");
    answerLate();
    opa.answer = null;
    expect((await stage.call("/")).status).toBe(200);
    expect(stage.served.map(({ url }) => url)).toEqual(["/"]);
  });

  it("nobody listens", async () => {
    await stage.apply({ authorizerPort: 1 });
    expect((await stage.call("/")).status).toBe(403);
  });
});

describe("the body in the check", () => {
  it("as text, whole or its beginning, and forwarded unchanged", async () => {
    await stage.apply({ provider: { includeRequestBodyInCheck: { maxRequestBytes: 4, allowPartialMessage: true } } });
    await stage.call("/", { method: "POST", body: "h\u00e9llo" });
    expect(opa.last.message?.attributes.request?.http).toMatchObject({ body: "h\u00e9l", headers: { "x-envoy-auth-partial-body": "true" } });
    expect(stage.served[0]?.body).toBe(Buffer.from("h\u00e9llo").toString("latin1"));
    await stage.call("/", { method: "POST", body: "abc" });
    expect(opa.last.message?.attributes.request?.http).toMatchObject({ body: "abc", headers: { "x-envoy-auth-partial-body": "false" } });
  });

  it("as bytes", async () => {
    await stage.apply({ provider: { includeRequestBodyInCheck: { maxRequestBytes: 100, packAsBytes: true } } });
    const body = Buffer.from([0, 255, 10]);
    await stage.call("/", { method: "POST", body });
    expect(opa.last.message?.attributes.request?.http.raw_body).toEqual(body);
    expect((await stage.call("/", { method: "POST", body: "x".repeat(101) })).status).toBe(413);
  });
});

describe("client gone while it is asked about", () => {
  it("CVE-2026-47205: the call is cancelled, and its late answer does nothing", async () => {
    let answerLate: () => void = () => undefined;
    opa.answer = () => new Promise((resolve) => (answerLate = () => resolve({ status: { code: 0 } })));
    const client = stage.connect();
    client.on("error", () => undefined);
    client.write("GET /gone HTTP/1.1\r\nHost: api\r\n\r\n");
    await eventually(() => opa.questions.length === 1, "it is asked about");
    client.destroy();
    await eventually(() => opa.last.isCancelled, "the call is cancelled");
    answerLate();
    expect(await logged("/gone")).toMatchObject({ response_flags: "DC" });
    opa.answer = null;
    expect((await stage.call("/next")).status).toBe(200);
    expect(stage.served.map(({ url }) => url)).toEqual(["/next"]);
    expect(stage.proxy.logLines.filter((line) => line.includes("defect"))).toEqual([]);
  });
});

describe("an authorizer in the mesh", () => {
  it("is asked with mutual TLS, and its own sidecar may refuse us", async () => {
    const yaml = (...more: readonly Resource[]): string => yamlOf(service({ name: "opa", port: 9191, portName: "grpc", endpoints: [{ port: opa.port }] }), STRICT, more);
    const guard = await ProxyUnderTest.start({ yaml: yaml(), workload: { podName: "opa-1", serviceAccount: "opa", labels: { app: "opa" } } });
    guard.destination = { address: "127.0.0.1", port: opa.port };
    await stage.apply({ authorizerPort: guard.inboundPort, isMesh: true });
    try {
      expect((await stage.call("/")).status).toBe(200);
      expect(opa.last.metadata["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/default/sa/api");
      await guard.apply(yaml(security("AuthorizationPolicy", "nobody", { action: "DENY", rules: [{}] })));
      const answer = await stage.call("/");
      expect(answer.status).toBe(403);
      const id = /id=(\w+)/.exec(String(answer.headers["x-outrider-authz"]))?.[1] ?? "";
      expect(stage.proxy.denial(id)?.said).toBe('provider "opa" could not be asked: gRPC status 7: RBAC: access denied');
    } finally {
      guard.stop();
    }
  });
});

describe("the call itself", () => {
  it("is a gRPC call to the letter, whatever its request was", async () => {
    const raw = await GrpcApplication.start();
    const heads: IncomingHttpHeaders[] = [];
    raw.handle = (stream, headers) => {
      heads.push(headers);
      beginAnswer(stream, 0);
      stream.end(Buffer.alloc(5));
    };
    await stage.apply({ authorizerPort: raw.port, provider: { timeout: "1.5s" } });
    expect((await stage.call("/x", { method: "PUT", headers: { "x-one": "1", te: "gzip" }, body: "b" })).status).toBe(200);
    expect({ ...heads[0] }).toEqual({
      ":method": "POST", ":path": "/envoy.service.auth.v3.Authorization/Check", ":scheme": "http", ":authority": "outbound_.9191_._.opa.default.svc.cluster.local",
      "content-type": "application/grpc", te: "trailers", "grpc-timeout": "1500m", "user-agent": "outrider", "content-length": expect.stringMatching(/^\d+$/),
      [sensitiveHeaders]: [],
    });
    raw.stop();
  });

  it.each<[string, (stream: ServerHttp2Stream) => void]>([
    ["or that it has none in time", () => undefined],
    ["in trailers", (stream) => { beginAnswer(stream, 14); stream.end(Buffer.alloc(5)); }],
    ["in the head", (stream) => stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true })],
  ])("counts for outlier detection as what its gRPC status says, %s", async (_where, handle) => {
    const raw = await GrpcApplication.start();
    raw.handle = handle;
    const rule = networking("DestinationRule", "opa", { host: "opa.default.svc.cluster.local", trafficPolicy: { outlierDetection: { consecutive5xxErrors: 100 } } });
    await stage.apply({ authorizerPort: raw.port, resources: [rule], provider: { timeout: "0.2s" } });
    for (let index = 0; index < 3; index++) expect((await stage.call("/")).status).toBe(403);
    const endpoint = stage.proxy.clusters().outbound.find(({ name }) => name.includes("|9191|"))?.endpoints[0];
    expect(endpoint?.address).toBe(`127.0.0.1:${raw.port}`);
    expect(endpoint?.consecutiveGatewayErrors).toBe(3);
    raw.stop();
  });
});

describe("many requests at once", () => {
  it("are asked about over few connections, each by its own answer", async () => {
    opa.answer = ({ input }) => (input.path?.endsWith("1") === true ? { status: { code: 7 } } : { status: { code: 0 }, ok_response: { headers: [{ header: { key: "x-path", value: input.path ?? "" } }] } });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, index) => stage.call(`/${index}`)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map((_, index) => (String(index).endsWith("1") ? 403 : 200)));
    for (const { url, headers } of stage.served) expect(headers["x-path"]).toBe(url);
    const metrics = await stage.proxy.metrics();
    expect(metrics).toMatch(/ext_authz_ok/);
    expect(metrics).toMatch(/ext_authz_denied/);
  });
});

describe("one document over both transports", () => {
  it("decides the same", async () => {
    const document = { allow: [{ methods: ["GET"], pathPrefix: "/open" }, { principal: CALLER, header: ["x-key", "1"] as const }] };
    const overHttp = await OpaServer.overHttp(document);
    const http = await GrpcStage.start({ authorizerPort: overHttp.port, http: { includeRequestHeadersInCheck: ["x-key", "x-forwarded-client-cert"] } });
    opa.document = document;
    const cases: [string, object][] = [
      ["/open/a", {}], ["/open/../shut", {}], ["/%6Fpen", {}], ["/open", { method: "POST", headers: { "content-length": "0" } }], ["/shut", { headers: { "x-key": "1" } }],
      ["/shut", { headers: { "x-key": "2" } }], ["/shut?x-key=1", {}],
    ];
    try {
      const verdicts: number[] = [];
      for (const [path, question] of cases) {
        const [one, two] = [await stage.call(path, question), await http.call(path, question)];
        expect([path, one.status, one.body, one.headers["x-decided-by"]]).toEqual([path, two.status, two.body, two.headers["x-decided-by"]]);
        verdicts.push(one.status);
      }
      expect(verdicts).toEqual([200, 403, 200, 403, 200, 403, 403]);
    } finally {
      http.stop();
      overHttp.stop();
    }
  });
});
