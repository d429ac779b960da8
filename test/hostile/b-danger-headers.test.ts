import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { ISTIO_HTTP, meshClient } from "../integration/mesh-client.ts";
import { exchange, statusOf } from "../integration/proxy-under-test.ts";
import { HostileProxy } from "./hostile-proxy.ts";
import { HTTP2_WAYS, openHttp2 } from "./http2-ways.ts";
import { requestFields } from "./raw-http2.ts";

/*
 * B16, CVE-2020-8843, CVE-2023-27487, CVE-2024-45806: what only a proxy may say, said by somebody else. Each name in
 * the head and in the trailers, over HTTP/1 and HTTP/2, in both directions, to a backend that keeps every byte.
 */

/** Orders to a proxy and facts it states: nobody gives them to an application, and no application to a peer. */
const NEVER = [
  "x-envoy-internal", "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries", "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names", "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-stream-duration-ms", "x-envoy-expected-rq-timeout-ms", "x-envoy-force-trace",
  "x-envoy-ip-tags", "x-envoy-original-url", "x-envoy-hedge-on-per-try-timeout", "x-istio-attributes", "x-envoy-peer-metadata",
  "x-envoy-peer-metadata-id", "x-outrider-error", "x-outrider-authz", "x-outrider-no-retry", "x-outrider-anything",
] as const;
/** Besides, what a peer's proxy has no reason to say; an application may say it to whom it calls. */
const NEVER_INBOUND = [
  "x-envoy-original-path", "x-envoy-original-host", "x-envoy-decorator-operation", "x-envoy-attempt-count", "x-envoy-brand-new", "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node", "x-envoy-jwt-payload", "x-envoy-ratelimited", "x-istio-origin-network", "x-istio-brand-new",
] as const;
/** What two Outriders tell each other between themselves, on a hop of theirs alone. */
const HOP_ONLY = "x-outrider-spelling";
/** Read by no proxy, an identity only as far as one of ours says it. */
const IDENTITY = "x-forwarded-client-cert";
/** Fields a message has from its first byte on or not at all. */
const NEVER_BEHIND = [...NEVER, ...NEVER_INBOUND, IDENTITY, "x-envoy-external-address", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "authorization"] as const;

const forged = (name: string): string => `forged-${name}`;
const survivors = (names: readonly string[], received: string): string[] => names.filter((name) => received.includes(`: ${forged(name)}\r\n`));

let hostile: HostileProxy;
beforeAll(async () => {
  hostile = await HostileProxy.start();
});
beforeEach(() => hostile.backend.forget());
afterAll(() => hostile.stop());

const WAYS = [
  { way: "inbound, plaintext", connect: () => hostile.connect("inbound"), head: [...NEVER, ...NEVER_INBOUND, IDENTITY, HOP_ONLY] },
  { way: "inbound, from a peer that proved who it is", connect: () => meshClient(hostile.connect("inbound"), { alpn: ISTIO_HTTP }), head: [...NEVER, ...NEVER_INBOUND, HOP_ONLY] },
  { way: "outbound", connect: () => hostile.connect("outbound"), head: [...NEVER, IDENTITY, HOP_ONLY] },
] as const;

describe.each(WAYS)("HTTP/1 $way", ({ connect, head }) => {
  it.each(["as they are written", "in other case"])("internal fields, %s, are gone", async (spelling) => {
    const lines = head.map((name) => `${spelling === "in other case" ? name.toUpperCase() : name}: ${forged(name)}\r\n`).join("");
    const trailers = NEVER_BEHIND.map((name) => `${name}: ${forged(name)}\r\n`).join("");
    const request = `POST / HTTP/1.1\r\nHost: a.test\r\n${lines}x-kept: head\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n${trailers}x-kept: trailer\r\n\r\n`;
    expect(statusOf(await exchange(connect(), request, (received) => received.endsWith("ok")))).toBe(200);
    const { received } = hostile.backend;
    expect(received).toContain("x-kept: head\r\n");
    expect(received).toContain("\r\n0\r\nx-kept: trailer\r\n\r\n");
    expect(survivors([...NEVER_BEHIND, HOP_ONLY], received.toLowerCase())).toEqual([]);
  });
});

describe.each(HTTP2_WAYS)("HTTP/2 %s", (way) => {
  it("internal fields are gone", async () => {
    const head = way === "plaintext outbound" ? [...NEVER, IDENTITY] : [...NEVER, ...NEVER_INBOUND, ...(way === "plaintext inbound" ? [IDENTITY] : [])];
    const client = openHttp2(hostile, way);
    client.headers(1, [...requestFields("POST"), ...(way === "hop" ? [] : [HOP_ONLY]).concat(head).map((name): [string, string] => [name, forged(name)]), ["x-kept", "head"]], false);
    client.data(1, "x");
    client.headers(1, [...NEVER_BEHIND.map((name): [string, string] => [name, forged(name)]), ["x-kept", "trailer"]], true);
    const { status } = await client.done(1);
    client.socket.destroy();
    expect(status).toBe(200);
    const { received } = hostile.backend;
    expect(received).toContain("x-kept: head\r\n");
    expect(received).toContain("\r\n0\r\nx-kept: trailer\r\n\r\n");
    expect(survivors([...NEVER_BEHIND, HOP_ONLY], received)).toEqual([]);
  });
});

/** An application's answer that gives itself out for a proxy's. What it says of retries may be what it was told. */
const ANSWERED = ["x-outrider-error", "x-outrider-authz", "x-outrider-anything", "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"] as const;

describe("answers of an application", () => {
  const answer = (): void => {
    const lines = [...ANSWERED, "x-outrider-no-retry", "server", "x-envoy-upstream-service-time"].map((name) => `${name}: ${forged(name)}\r\n`).join("");
    const trailers = [...ANSWERED, "set-cookie", "x-envoy-upstream-service-time"].map((name) => `${name}: ${forged(name)}\r\n`).join("");
    hostile.backend.answer = ({ socket }) => {
      socket.write(`HTTP/1.1 103 Early Hints\r\n${lines}\r\nHTTP/1.1 503 No\r\n${lines}X-Outrider-Error: ${forged("x-outrider-error")}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers}x-kept: trailer\r\n\r\n`);
    };
  };

  it("inbound, HTTP/1: do not speak for the proxy", async () => {
    answer();
    const received = await exchange(hostile.connect("inbound"), "GET / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nConnection: TE\r\n\r\n", (text) => text.endsWith("x-kept: trailer\r\n\r\n"));
    const [interim = "", final = ""] = received.split(/(?=HTTP\/1\.1 503)/);
    expect(interim).toContain("HTTP/1.1 103");
    expect([survivors(ANSWERED, interim.toLowerCase()), survivors([...ANSWERED, "server", "x-envoy-upstream-service-time", "set-cookie"], final.toLowerCase())]).toEqual([[], []]);
    expect(final).toContain(`x-outrider-no-retry: ${forged("x-outrider-no-retry")}\r\n`);
    expect(final).toMatch(/\r\nserver: istio-envoy\r\n/);
  });

  it.each(["mTLS", "hop", "plaintext inbound"] as const)("inbound, HTTP/2 %s: do not speak for the proxy", async (way) => {
    answer();
    const client = openHttp2(hostile, way);
    client.headers(1, requestFields());
    const { status, blocks } = await client.done(1);
    client.socket.destroy();
    expect(status).toBe(503);
    const names = blocks.map((block) => block.filter(([, value]) => value.startsWith("forged-")).map(([name]) => name));
    // Interim responses have no time they took.
    expect(names).toEqual([["x-outrider-no-retry", "server", "x-envoy-upstream-service-time"], ["x-outrider-no-retry"], []]);
  });

  it("outbound: what the upstream's own proxy says is handed on, what it says of itself is not", async () => {
    answer();
    const received = await exchange(hostile.connect("outbound"), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", (text) => /x-kept: trailer\r\n\r\n|\r\n0\r\n\r\n/.test(text));
    const final = received.slice(received.indexOf("HTTP/1.1 503")).toLowerCase();
    expect(survivors([...ANSWERED, "server", "x-envoy-upstream-service-time"], final)).toEqual(["x-outrider-error", "x-outrider-authz", "x-outrider-anything"]);
  });
});
