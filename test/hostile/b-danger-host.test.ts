import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ISTIO_HTTP, meshClient } from "../integration/mesh-client.ts";
import { security, yamlOf } from "../integration/mesh-resources.ts";
import { exchange, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy, SIDES } from "./hostile-proxy.ts";
import { connectHttp2 } from "./http2-ways.ts";
import { RawHttp2 } from "./raw-http2.ts";

/* A37, B10 to B13, B15: who is asked for, said in more than one way. Policy: only a.test, and only GET. */

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start({ extraYaml: yamlOf(security("AuthorizationPolicy", "only", {
    rules: [{ from: [{ source: { notRemoteIpBlocks: ["10.0.0.0/8"] } }], to: [{ operation: { hosts: ["a.test"], methods: ["GET"], paths: ["/", "/open"] } }] }],
  })) });
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

/** Asked for once, so that the connection ends with the answer. */
const once = (bytes: string): string => bytes.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
const inbound = async (bytes: string): Promise<number> => statusOf(await exchange(hostile.connect("inbound"), once(bytes)));
const overTls = async (serverName: string, bytes: string): Promise<number> =>
  statusOf(await exchange(meshClient(hostile.connect("inbound"), { serverName, alpn: ISTIO_HTTP }), once(bytes)));

describe("fields that applications take for another host, path or method", () => {
  it.each([
    ["X-Forwarded-Host", "GET / HTTP/1.1\r\nHost: b.test\r\nX-Forwarded-Host: a.test\r\n\r\n"],
    ["Forwarded", "GET / HTTP/1.1\r\nHost: b.test\r\nForwarded: for=10.0.0.1;host=a.test;proto=https\r\n\r\n"],
    ["X-Host", "GET / HTTP/1.1\r\nHost: b.test\r\nX-Host: a.test\r\n\r\n"],
    ["X-Original-URL", "GET /closed HTTP/1.1\r\nHost: a.test\r\nX-Original-URL: /open\r\n\r\n"],
    ["X-Rewrite-URL", "GET /closed HTTP/1.1\r\nHost: a.test\r\nX-Rewrite-URL: /open\r\n\r\n"],
    ["X-HTTP-Method-Override", "DELETE / HTTP/1.1\r\nHost: a.test\r\nX-HTTP-Method-Override: GET\r\n\r\n"],
  ])("%s convinces no policy", async (_name, bytes) => {
    expect(await inbound(bytes)).toBe(403);
    expect(hostile.backend.received).toBe("");
  });

  it("X-Forwarded-For: what counts is the last hop that was told, in whatever number of fields", async () => {
    const ask = (...values: readonly string[]): Promise<number> => inbound(`GET / HTTP/1.1\r\nHost: a.test\r\n${values.map((value) => `X-Forwarded-For: ${value}\r\n`).join("")}\r\n`);
    expect([await ask("8.8.8.8"), await ask("10.0.0.1, 8.8.8.8"), await ask("10.0.0.1", "8.8.8.8")]).toEqual([200, 200, 200]);
    expect([await ask("10.0.0.1"), await ask("8.8.8.8, 10.0.0.1"), await ask("8.8.8.8", "10.0.0.1"), await ask("::ffff:10.0.0.1"), await ask("8.8.8.8,10.0.0.1 ")]).toEqual([403, 403, 403, 403, 403]);
  });
});

describe("B12: one connection, two hosts", () => {
  it.each([
    ["Host", "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n"],
    ["the target", "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"],
    ["both", "GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n"],
  ])("%s of another host than TLS was opened for is misdirected", async (_what, bytes) => {
    expect(await overTls("a.test", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")).toBe(200);
    hostile.backend.forget();
    expect(await overTls("a.test", bytes)).toBe(421);
    expect(hostile.backend.received).toBe("");
  });

  it.each(["A.TEST", "a.test.", "a.test:443"])("%s is the same host", async (host) => expect(await overTls("a.test", `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).toBe(200));

  it("each stream of HTTP/2 is looked at for itself", async () => {
    const client = RawHttp2.client(connectHttp2(hostile, "mTLS", { serverName: "a.test" }));
    const ask = async (id: number, authority: string, ...more: readonly [string, string][]): Promise<number> => {
      client.headers(id, [[":method", "GET"], [":scheme", "https"], [":path", "/"], [":authority", authority], ...more]);
      return (await client.done(id)).status;
    };
    expect([await ask(1, "a.test"), await ask(3, "b.test"), await ask(5, "a.test:443"), await ask(7, "a.test.b.test"), await ask(9, "a.test", ["host", "a.test"])]).toEqual([200, 421, 200, 421, 200]);
    client.socket.destroy();
  });
});

describe.each(SIDES)("%s", (side) => {
  it.each(["http://a.test@b.test/", "http://user:pw@a.test/", "http:///", "http://", "http://a.test:99999/", "http://[::1/", "ftp://a.test/", "http://a.test/#x", "http://a.test\\@b.test/"])("a target of %s is refused", async (target) => {
    const answer = await hostile.ask(side, `GET ${target} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    expect([statusOf(answer), hostile.backend.received]).toEqual([400, ""]);
  });
});
