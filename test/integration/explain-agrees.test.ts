import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Explainer } from "../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../src/explain/explain-request.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { type RandomRequest, randomRequest, routingRules, securityRules } from "../unit/explain/random-mesh.ts";
import { meshClient } from "./mesh-client.ts";
import { meshConfig, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* What `outrider explain` says of a request is what becomes of it on real sockets: law 1 for whoever asks beforehand. */

const CONFIGURATIONS = 20;
const REQUESTS_EACH = 10;
const VOLATILE = new Set(["x-request-id", "x-forwarded-client-cert"]);

/** What became of a request on the wire. */
interface Observed {
  /** 0: the connection was closed without an answer. */
  readonly status: number;
  /** Of the access log; null where nothing was logged. */
  readonly log: Record<string, unknown> | null;
  /** What the application got; null if nothing. */
  readonly received: IncomingMessage | null;
}

describe("explain and live traffic", () => {
  let v1: TestApplication;
  let v2: TestApplication;
  let proxy: ProxyUnderTest;
  let sent = 0;
  const verdicts = new Map<string, number>();

  // What nobody knows goes nowhere: a test dials its own servers only.
  const mesh = (rules: readonly Resource[]): string => yamlOf(meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } }), service({
    name: "reviews", clusterIP: "127.0.0.55", portName: "http", targetPort: v1.port, selector: { app: "reviews" },
    endpoints: [{ port: v1.port, labels: { version: "v1" } }, { port: v2.port, labels: { version: "v2" } }],
  }), rules);

  beforeAll(async () => {
    [v1, v2] = await Promise.all([TestApplication.start("v1"), TestApplication.start("v2")]);
    proxy = await ProxyUnderTest.start({ yaml: mesh([]), workload: { podName: "reviews-9", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });

  afterAll(() => {
    proxy.stop();
    v1.stop();
    v2.stop();
    // A property that only ever saw one kind of outcome has shown little.
    expect([...verdicts.keys()].toSorted()).toEqual(["deny", "reply", "reset", "route"]);
  });

  async function observe(direction: "inbound" | "outbound", request: RandomRequest, isTls: boolean): Promise<Observed> {
    const id = `request-${sent++}`;
    const lines = [`${request.method} ${request.path} HTTP/1.1`, `Host: ${request.host}`, ...request.headers.map(([name, value]) => `${name}: ${value}`), `x-request-id: ${id}`];
    const bytes = `${lines.join("\r\n")}\r\n\r\n`;
    const plain = direction === "outbound" ? proxy.connectOutbound({ address: "127.0.0.55", port: 9080 }) : proxy.connectInbound(v1.port);
    const socket = isTls ? meshClient(plain, { spiffeId: request.from }) : plain;
    const before = [v1.requests.length, v2.requests.length];
    const answer = await exchange(socket, bytes, (received) => received.includes("\r\n\r\n"));
    plain.destroy();
    const status = statusOf(answer);
    const logOf = (): Record<string, unknown> | null => proxy.accessLog.find((line) => line["request_id"] === id) ?? null;
    // A request that is refused before it has an id, and a connection that is, leave no line to wait for.
    if (status !== 0 && status !== 400) await eventually(() => logOf() !== null, `access log of ${id}`);
    return { status, log: logOf(), received: v1.requests[before[0] as number] ?? v2.requests[before[1] as number] ?? null };
  }

  function compare(explained: Explanation, { status, log, received }: Observed): void {
    verdicts.set(explained.verdict, (verdicts.get(explained.verdict) ?? 0) + 1);
    if (explained.verdict === "route") {
      expect(status).toBe(200);
      expect(explained.clusters.map(({ name }) => name)).toContain(log?.["upstream_cluster"]);
      expect(explained.clusters.flatMap(({ endpoints }) => endpoints)).toContain(log?.["upstream_host"]);
      expect(log?.["route_name"] ?? "").toBe(explained.route?.name);
      expect([received?.method, received?.url, received?.headers.host]).toEqual([explained.request?.method, explained.request?.path, explained.request?.authority]);
      expect(headersOf(received?.rawHeaders ?? [])).toEqual((explained.request?.headers ?? []).filter(([name]) => !VOLATILE.has(name.toLowerCase())));
      return;
    }
    expect(received).toBeNull();
    expect(status).toBe(explained.status ?? 0);
    if (log !== null) expect([log["response_flags"], log["response_code_details"]]).toEqual([explained.flag, explained.details]);
  }

  async function check(direction: "inbound" | "outbound", rules: readonly Resource[], requests: readonly RandomRequest[]): Promise<void> {
    const yaml = mesh(rules);
    await proxy.apply(yaml);
    const snapshot = proxy.compile(yaml);
    const explainer = new Explainer(snapshot);
    const mode = snapshot.inbound.ports[0]?.mtls;
    for (const request of requests) {
      const isTls = direction === "inbound" && request.from !== null && mode !== "DISABLE";
      const explained = explainer.explain(parseExplainRequest({
        direction, method: request.method, url: request.path, headers: [["Host", request.host], ...request.headers],
        to: direction === "outbound" ? "127.0.0.55:9080" : `127.0.0.1:${v1.port}`, from: isTls ? request.from : null,
      }));
      try {
        compare(explained, await observe(direction, request, isTls));
      } catch (error) {
        throw new Error(`${direction} ${JSON.stringify(request)}\nexplained as ${JSON.stringify(explained)}\n${(error as Error).message}`, { cause: error });
      }
    }
  }

  const requests = fc.array(randomRequest, { minLength: REQUESTS_EACH, maxLength: REQUESTS_EACH });

  it("agree on what the application sends", async () => {
    await fc.assert(fc.asyncProperty(routingRules, requests, (rules, asked) => check("outbound", rules, asked)), { numRuns: CONFIGURATIONS, endOnFailure: true });
  });

  it("agree on what arrives for it", async () => {
    await fc.assert(fc.asyncProperty(securityRules, requests, (rules, asked) => check("inbound", rules, asked)), { numRuns: CONFIGURATIONS, endOnFailure: true });
  });
});

/** Name and value pairs without what is drawn for each request and what frames its body. */
function headersOf(rawHeaders: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (!VOLATILE.has(name.toLowerCase()) && !/^(?:host|connection|content-length|transfer-encoding)$/i.test(name)) pairs.push([name, rawHeaders[index + 1] as string]);
  }
  return pairs;
}
