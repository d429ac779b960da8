import { connect as connectHttp2 } from "node:http2";
import type { ServerResponse } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";

import { AuthorizationStage } from "../integration/authorization-stage.ts";
import { eventually } from "../integration/proxy-under-test.ts";

/*
 * Any mix of requests, clients that give up and authorizers that misbehave: what the application gets was allowed, each
 * request is logged once, and nothing is left over.
 */

type Say = "allow" | "deny" | "fail" | "hang" | "reset" | "garbage" | "half" | "huge";
interface Asked {
  readonly say: Say;
  readonly delayMs: number;
  readonly version: "http1" | "http2";
  readonly bodyBytes: number;
  /** The client resets after so long; null: it waits. */
  readonly givesUpMs: number | null;
}

const SAYINGS: Readonly<Record<Say, (response: ServerResponse) => void>> = {
  allow: (response) => response.writeHead(200, { "x-user": "alice" }).end("ok"),
  deny: (response) => response.writeHead(403).end("no"),
  fail: (response) => response.writeHead(500).end(),
  hang: () => undefined,
  reset: (response) => response.socket?.resetAndDestroy(),
  garbage: (response) => response.socket?.end("garbage\r\n\r\n"),
  half: (response) => response.writeHead(200, { "content-length": "10" }).write("half", () => response.socket?.destroy()),
  huge: (response) => response.writeHead(200).end(Buffer.alloc(200_000)),
};
const STATUSES: Readonly<Record<Say, number>> = { allow: 200, deny: 403, fail: 503, hang: 503, reset: 503, garbage: 503, half: 503, huge: 200 };

let stage: AuthorizationStage;

beforeAll(async () => {
  stage = await AuthorizationStage.start({
    isPermissive: true,
    provider: { timeout: "60s", statusOnError: "503", headersToUpstreamOnAllow: ["x-user"], includeRequestHeadersInCheck: ["x-say", "x-delay"], includeRequestBodyInCheck: { maxRequestBytes: 1000, allowPartialMessage: true } },
  });
  stage.authorizer.says = ({ headers }) => (response) => {
    setTimeout(() => SAYINGS[headers["x-say"] as Say](response), Number(headers["x-delay"]));
  };
});
afterAll(() => stage.stop());

/** Status of the answer; null where the client gave up, or may have. */
function send({ say, delayMs, version, bodyBytes, givesUpMs }: Asked, id: number): Promise<number | null> {
  const socket = stage.connectPlain();
  const method = bodyBytes === 0 ? "GET" : "POST";
  const body = Buffer.alloc(bodyBytes, "b");
  return new Promise((resolve) => {
    socket.on("error", () => resolve(null));
    socket.on("close", () => resolve(null));
    if (givesUpMs !== null) setTimeout(() => socket.resetAndDestroy(), givesUpMs);
    if (version === "http2") {
      const session = connectHttp2("http://reviews", { createConnection: () => socket });
      session.on("error", () => resolve(null));
      const stream = session.request({ ":method": method, ":path": `/ask/${id}`, "x-say": say, "x-delay": String(delayMs) }, { endStream: bodyBytes === 0 });
      stream.on("error", () => resolve(null));
      stream.on("response", (head) => {
        resolve(head[":status"] ?? 0);
        session.destroy();
      });
      if (bodyBytes > 0) stream.end(body);
      return;
    }
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      const status = /^HTTP\/1\.1 (\d{3})[^]*\r\n\r\n/.exec(answer)?.[1];
      if (status === undefined) return;
      resolve(Number(status));
      socket.destroy();
    });
    socket.write(`${method} /ask/${id} HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\nX-Say: ${say}\r\nX-Delay: ${delayMs}\r\n${bodyBytes === 0 ? "" : `Content-Length: ${bodyBytes}\r\n`}\r\n`);
    socket.write(body);
  });
}

const asked: fc.Arbitrary<Asked> = fc.record({
  say: fc.constantFrom(...Object.keys(STATUSES) as Say[]),
  delayMs: fc.integer({ min: 0, max: 20 }),
  version: fc.constantFrom("http1", "http2"),
  bodyBytes: fc.constantFrom(0, 1, 999, 1000, 1001, 100_000),
  givesUpMs: fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 25 })),
}).map((request): Asked => (request.say === "hang" && request.givesUpMs === null ? { ...request, givesUpMs: 10 } : request));

it("nothing passes that was not allowed, and nothing is left over", async () => {
  let next = 0;
  await fc.assert(fc.asyncProperty(fc.array(asked, { minLength: 1, maxLength: 20 }), async (requests) => {
    stage.application.requests.length = 0;
    const first = next;
    next += requests.length;
    const statuses = await Promise.all(requests.map((request, index) => send(request, first + index)));
    await eventually(() => stage.callee.activeCount() === 0, "every request is over");
    for (const [index, { say, givesUpMs }] of requests.entries()) {
      if (givesUpMs === null) expect([say, statuses[index]]).toEqual([say, STATUSES[say]]);
    }
    for (const { url, headers } of stage.application.requests) {
      expect([url, headers["x-say"], headers["x-user"]]).toEqual([url, headers["x-say"] === "huge" ? "huge" : "allow", headers["x-say"] === "huge" ? undefined : "alice"]);
    }
  }), { numRuns: 25 });
  const clusters = stage.callee.clusters().outbound.filter(({ name }) => name.includes("authz"));
  expect(clusters).toHaveLength(1);
  expect(await stage.count("envoy_cluster_upstream_rq_active", "authz")).toBe(0);
  expect(await stage.count("envoy_cluster_upstream_rq_pending_active", "authz")).toBe(0);
  expect(await stage.count("outrider_defects_total")).toBe(0);
  const paths = stage.callee.accessLog.map(({ path }) => path);
  expect(new Set(paths).size, "each is logged once").toBe(paths.length);
}, 120_000);
