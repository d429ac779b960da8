import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Explainer } from "../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../src/explain/explain-request.ts";
import type { Explanation } from "../../src/explain/explanation.ts";
import { type RandomRequest, randomRequest, securityRules } from "../unit/explain/random-mesh.ts";
import { routingRules } from "../unit/explain/random-routes.ts";
import { type KeptAnswer, KeptConnection } from "./kept-connection.ts";
import { meshClient } from "./mesh-client.ts";
import { meshConfig, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* What `outrider explain` says of a request is what becomes of it on real sockets: law 1 for whoever asks beforehand. */

const OUTBOUND_CONFIGURATIONS = 120;
const INBOUND_CONFIGURATIONS = 40;
const REQUESTS_EACH = 25;
/** Thousands of requests, on machines that may have other things to do. */
const SLOW_MACHINE_MS = 120_000;
const VOLATILE = new Set(["x-request-id", "x-forwarded-client-cert", "x-outrider-authz"]);
/** What is left of the time-out: less on a machine that is slow. */
const TIME_LEFT = "x-envoy-expected-rq-timeout-ms";

type Direction = "inbound" | "outbound";

/** What became of a request on the wire. */
interface Observed {
  readonly answer: KeptAnswer;
  /** Of the access log; null where nothing was logged. */
  readonly log: Record<string, unknown> | null;
  /** What the application got; null if nothing. */
  readonly received: IncomingMessage | null;
}

describe("explain and live traffic", () => {
  let v1: TestApplication;
  let v2: TestApplication;
  let shadow: TestApplication;
  let proxy: ProxyUnderTest;
  let sent = 0;
  let reused = 0;
  /** Connections of the configuration that is in force, by whom they prove to be. */
  const connections = new Map<string, KeptConnection>();
  /** How often something was seen: a property that only ever saw one kind of outcome has shown little. */
  const seen = new Map<string, number>();
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);

  // What nobody knows goes nowhere: a test dials its own servers only.
  const mesh = (rules: readonly Resource[], normalization = "BASE"): string => yamlOf(meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" }, pathNormalization: { normalization } }), service({
    name: "reviews", clusterIP: "127.0.0.55", portName: "http", targetPort: v1.port, selector: { app: "reviews" },
    endpoints: [{ port: v1.port, labels: { version: "v1" } }, { port: v2.port, labels: { version: "v2" } }],
  }), service({ name: "shadow", clusterIP: "127.0.0.56", endpoints: [{ port: shadow.port }] }), rules);

  beforeAll(async () => {
    [v1, v2, shadow] = await Promise.all(["v1", "v2", "shadow"].map((name) => TestApplication.start(name))) as [TestApplication, TestApplication, TestApplication];
    proxy = await ProxyUnderTest.start({ yaml: mesh([]), workload: { podName: "reviews-9", labels: { app: "reviews" }, serviceAccount: "reviews" } });
  });

  afterAll(() => {
    closeConnections();
    proxy.stop();
    for (const application of [v1, v2, shadow]) application.stop();
    const outcomes = ["deny", "reply", "reset", "route"];
    expect([...seen.keys()].filter((what) => !what.includes(" ")).toSorted()).toEqual(outcomes);
    for (const what of [...outcomes, "a redirect", "a direct response", "an abort", "a delay", "a preflight", "a copy", "a delegate's rule", "a changed path", "an error of gRPC"]) {
      expect(seen.get(what) ?? 0, what).toBeGreaterThan(4);
    }
    expect(sent).toBeGreaterThanOrEqual(2000);
    expect(reused).toBeGreaterThan(sent / 2);
  });

  function closeConnections(): void {
    for (const connection of connections.values()) {
      reused += connection.reused;
      connection.close();
    }
    connections.clear();
  }

  function connectionFor(direction: Direction, from: string | null): KeptConnection {
    const key = `${direction} ${from ?? ""}`;
    const known = connections.get(key);
    if (known !== undefined) return known;
    const made = new KeptConnection(() => {
      const plain = direction === "outbound" ? proxy.connectOutbound({ address: "127.0.0.55", port: 9080 }) : proxy.connectInbound(v1.port);
      return from === null ? plain : meshClient(plain, { spiffeId: from });
    });
    connections.set(key, made);
    return made;
  }

  async function observe(direction: Direction, request: RandomRequest, id: string, isTls: boolean): Promise<Observed> {
    const lines = [`${request.method} ${request.path} HTTP/1.1`, `Host: ${request.host}`, ...request.headers.map(([name, value]) => `${name}: ${value}`), `x-request-id: ${id}`];
    for (const application of [v1, v2]) application.requests.length = 0;
    proxy.accessLog.length = 0;
    const answer = await connectionFor(direction, isTls ? request.from : null).ask(`${lines.join("\r\n")}\r\n\r\n`);
    // What is refused before it has an id is logged without one.
    const logOf = (): Record<string, unknown> | null => proxy.accessLog.find((line) => (line["request_id"] ?? id) === id) ?? null;
    // A connection that is refused leaves no line to wait for.
    if (answer.status !== 0) await eventually(() => logOf() !== null, `access log of ${id}`);
    return { answer, log: logOf(), received: v1.requests[0] ?? v2.requests[0] ?? null };
  }

  function compare(explained: Explanation, { answer, log, received }: Observed): void {
    countOutcome(explained);
    if (log !== null) expect([log["response_flags"], log["route_name"] ?? ""]).toEqual([explained.flag, explained.route?.name ?? ""]);
    if (explained.verdict === "route") {
      expect(answer.status).toBe(200);
      expect(explained.clusters.map(({ name }) => name)).toContain(log?.["upstream_cluster"]);
      expect(explained.clusters.flatMap(({ endpoints }) => endpoints)).toContain(log?.["upstream_host"]);
      expect([received?.method, received?.url, received?.headers.host]).toEqual([explained.request?.method, explained.request?.path, explained.request?.authority]);
      expect(headersOf(pairsOf(received?.rawHeaders ?? []))).toEqual(headersOf(explained.request?.headers ?? []));
      const whole = explained.request?.headers.find(([name]) => name === TIME_LEFT)?.[1] ?? 0;
      expect(Number(received?.headers[TIME_LEFT] ?? 0)).toBeLessThanOrEqual(Number(whole));
      return;
    }
    expect(received).toBeNull();
    expect(answer.status).toBe(explained.status ?? 0);
    if (explained.reply !== null) {
      expect(answer.body).toBe(explained.reply.body);
      expect(headersOf(answer.headers)).toEqual(headersOf(explained.reply.headers));
    }
    // Of a connection that no filter chain takes, the log has Envoy's one name for all reasons.
    if (log !== null && log["response_code_details"] !== "filter_chain_not_found") expect(log["response_code_details"]).toBe(explained.details);
  }

  function countOutcome({ verdict, route, flag, filters, reply, request, mirrors }: Explanation): void {
    count(verdict);
    if (route?.action === "redirect") count("a redirect");
    if (route?.action === "direct-response") count("a direct response");
    if (flag.includes("FI")) count("an abort");
    if (flag.includes("DI")) count("a delay");
    if (filters.some((filter) => filter.name === "cors" && filter.verdict === "reply")) count("a preflight");
    if (verdict === "route" && mirrors.length > 0) count("a copy");
    if (route?.delegatedBy !== undefined) count("a delegate's rule");
    if (request?.headers.some(([name]) => name === "x-envoy-original-path") === true) count("a changed path");
    if (reply?.headers.some(([name]) => name === "grpc-status") === true) count("an error of gRPC");
  }

  async function check(direction: Direction, rules: readonly Resource[], normalization: string, requests: readonly RandomRequest[]): Promise<void> {
    const yaml = mesh(rules, normalization);
    closeConnections();
    await proxy.apply(yaml);
    const snapshot = proxy.compile(yaml);
    const explainer = new Explainer(snapshot);
    const mode = snapshot.inbound.ports[0]?.mtls;
    const copies: string[] = [];
    shadow.requests.length = 0;
    for (const request of requests) {
      const id = `request-${sent++}`;
      const isTls = direction === "inbound" && request.from !== null && mode !== "DISABLE";
      const explained = explainer.explain(parseExplainRequest({
        direction, method: request.method, url: request.path, headers: [["Host", request.host], ...request.headers],
        to: direction === "outbound" ? "127.0.0.55:9080" : `127.0.0.1:${v1.port}`, from: isTls ? request.from : null,
      }));
      try {
        compare(explained, await observe(direction, request, id, isTls));
      } catch (error) {
        throw new Error(`${direction} ${JSON.stringify(request)}\nexplained as ${JSON.stringify(explained)}\n${(error as Error).message}`, { cause: error });
      }
      // Each mirror here has all requests or none.
      if (explained.verdict === "route") copies.push(...explained.mirrors.filter(({ percent }) => percent === 100).map(() => id));
    }
    // Nobody waits for copies; those of all requests have come once as many are there.
    await eventually(() => shadow.requests.length >= copies.length, `${copies.length} copies`);
    const copied = shadow.requests.map(({ headers }) => String(headers["x-request-id"]));
    expect(copied.toSorted()).toEqual(copies.toSorted());
  }

  const requests = fc.array(randomRequest, { minLength: REQUESTS_EACH, maxLength: REQUESTS_EACH });

  const normalizations = fc.constantFrom("DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES");

  it("agree on what the application sends", { timeout: SLOW_MACHINE_MS }, async () => {
    await fc.assert(fc.asyncProperty(routingRules, normalizations, requests, (rules, mode, asked) => check("outbound", rules, mode, asked)), { numRuns: OUTBOUND_CONFIGURATIONS, endOnFailure: true });
  });

  it("agree on what arrives for it", { timeout: SLOW_MACHINE_MS }, async () => {
    await fc.assert(fc.asyncProperty(securityRules, normalizations, requests, (rules, mode, asked) => check("inbound", rules, mode, asked)), { numRuns: INBOUND_CONFIGURATIONS, endOnFailure: true });
  });
});

/** As Node has them: names and values in turn. */
function pairsOf(rawHeaders: readonly string[]): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [rawHeaders[index * 2] as string, rawHeaders[index * 2 + 1] as string]);
}

/** Without what is drawn for each request and what frames its body. */
function headersOf(pairs: readonly (readonly [string, string])[]): (readonly [string, string])[] {
  return pairs.filter(([name]) => !VOLATILE.has(name.toLowerCase()) && !/^(?:host|date|connection|content-length|transfer-encoding)$/i.test(name))
    .map(([name, value]) => [name, name === TIME_LEFT ? "" : value]);
}
