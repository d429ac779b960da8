import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { seededRandom } from "../contract/load-balancer.ts";
import { freePort } from "./free-port.ts";
import { ask, type HttpQuestion } from "./http-client.ts";
import { httpRules, networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, ProxyUnderTest, rawServer, statusOf } from "./proxy-under-test.ts";

/* Copies of requests, on the way of live ones: spec/03 3.9. */

const VIP = { address: "10.96.0.10", port: 9080 };

interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Keeps what it was sent; answers with its name unless told otherwise. */
class Recorder {
  readonly received: Received[] = [];
  answer: (response: ServerResponse) => void;
  readonly #server: Server;

  private constructor(name: string) {
    this.answer = (response) => void response.end(name);
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("error", () => undefined);
      request.on("end", () => {
        this.received.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString("latin1") });
        this.answer(response);
      });
    });
  }

  static async start(name: string): Promise<Recorder> {
    const recorder = new Recorder(name);
    await new Promise<void>((resolve) => {
      recorder.#server.listen(0, "127.0.0.1", resolve);
    });
    return recorder;
  }

  get port(): number {
    return portOf(this.#server);
  }

  reset(name: string): void {
    this.received.length = 0;
    this.answer = (response) => void response.end(name);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

describe("mirroring", () => {
  let proxy: ProxyUnderTest;
  let original: Recorder;
  let shadow: Recorder;

  beforeAll(async () => {
    [original, shadow] = await Promise.all([Recorder.start("original"), Recorder.start("shadow")]);
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(service({ name: "reviews", endpoints: [] })), random: seededRandom(7) });
  });
  beforeEach(() => {
    original.reset("original");
    shadow.reset("shadow");
  });
  afterAll(() => {
    proxy.stop();
    original.stop();
    shadow.stop();
  });

  async function use(rule: Resource, shadowPort = shadow.port, ...more: readonly Resource[]): Promise<void> {
    await proxy.apply(yamlOf(
      service({ name: "reviews", endpoints: [{ port: original.port }] }),
      service({ name: "shadow", clusterIP: "10.96.0.11", endpoints: [{ port: shadowPort }] }),
      httpRules("reviews", { route: [{ destination: { host: "reviews" } }], ...rule }), more,
    ));
  }
  const get = (question: HttpQuestion = {}): ReturnType<typeof ask> => ask(proxy.connectOutbound(VIP), question);
  const arrived = (count: number): Promise<void> => eventually(() => shadow.received.length >= count, `${count} copies arrived`);
  async function outcomes(): Promise<Record<string, number>> {
    const found = (await proxy.metrics()).matchAll(/^outrider_mirrored_requests_total\{(?:.*,)?outcome="(\w+)".*\} (\d+)/gm);
    return Object.fromEntries([...found].map(([, outcome, count]) => [outcome as string, Number(count)]));
  }

  it("sends a copy with the same method, path, Host, headers and body, and answers with the original's answer", async () => {
    await use({ mirror: { host: "shadow" }, headers: { request: { add: { "x-by-rule": "yes" } } }, rewrite: { uri: "/rewritten" }, match: [{ uri: { prefix: "/a" } }] });
    const answer = await get({ method: "PUT", path: "/a?q=1", headers: { "x-mine": "1" }, body: "the body" });
    expect([answer.status, answer.body]).toEqual([200, "original"]);
    await arrived(1);
    const [sent, copied] = [original.received[0], shadow.received[0]];
    expect(copied).toMatchObject({ method: "PUT", path: "/rewritten?q=1", body: "the body", headers: { host: "reviews", "x-mine": "1", "x-by-rule": "yes" } });
    expect(copied?.headers).toEqual(sent?.headers);
  });

  it("copies the share that it should, each mirror by itself", async () => {
    await use({ mirrors: [{ destination: { host: "shadow" }, percentage: { value: 30 } }, { destination: { host: "shadow" }, percentage: { value: 50 } }] });
    for (let index = 0; index < 300; index++) expect((await get({ path: `/${index}` })).body).toBe("original");
    await arrived(150);
    const paths = shadow.received.map(({ path }) => path);
    // 0.8 copies of a request on average; seven in twenty have none (0.7 * 0.5), three in twenty two.
    expect(paths.length).toBeGreaterThan(200);
    expect(paths.length).toBeLessThan(280);
    expect(new Set(paths).size).toBeLessThan(paths.length);
  });

  it("copies nothing with a percentage of 0", async () => {
    await use({ mirror: { host: "shadow" }, mirrorPercentage: { value: 0 } });
    for (let index = 0; index < 20; index++) await get();
    expect(shadow.received).toEqual([]);
  });

  it("copies a request once, however often it is tried", async () => {
    await use({ mirror: { host: "shadow" }, retries: { attempts: 2, retryOn: "5xx" } });
    let answers = 0;
    original.answer = (response) => void response.writeHead(answers++ < 2 ? 503 : 200).end();
    expect((await get({ method: "POST", body: "b" })).status).toBe(200);
    expect(original.received).toHaveLength(3);
    await arrived(1);
    await get({ path: "/next" });
    await arrived(2);
    expect(shadow.received.map(({ path }) => path)).toEqual(["/", "/next"]);
    expect(shadow.received[0]?.headers["x-envoy-attempt-count"]).toBe("1");
  });

  it.each([
    ["answers 500", (response: ServerResponse) => void response.writeHead(500).end()],
    ["cuts the connection", (response: ServerResponse) => void response.socket?.resetAndDestroy()],
    ["never answers", () => undefined],
    ["answers without end", (response: ServerResponse) => void response.write("x".repeat(100_000))],
  ])("delays and fails nobody when the mirror %s", async (_what, misbehave) => {
    await use({ mirror: { host: "shadow" }, timeout: "20s" });
    shadow.answer = misbehave;
    for (let index = 0; index < 30; index++) {
      const answer = await get({ method: "POST", body: "b" });
      expect([answer.status, answer.body]).toEqual([200, "original"]);
    }
    await arrived(30);
    expect(proxy.accessLog.slice(-30).every((line) => line["response_code"] === 200 && line["response_flags"] === "-" && line["attempts"] === 1)).toBe(true);
  });

  it("nor when it takes no connection, has no endpoint, or does not exist", async () => {
    await use({ mirror: { host: "shadow" } }, await freePort());
    expect((await get()).body).toBe("original");
    await use({ mirror: { host: "nowhere" } });
    expect((await get()).body).toBe("original");
    await use({ mirror: { host: "shadow", subset: "gone" } });
    expect((await get()).body).toBe("original");
  });

  it("gives a copy up whose upstream does not take its body, and lets the original through", async () => {
    const stuck = await rawServer((socket) => void socket.pause());
    try {
      await use({ mirror: { host: "shadow" } }, stuck.port);
      const body = "x".repeat(20_000_000);
      const before = (await outcomes())["too_large"] ?? 0;
      expect((await get({ method: "POST", body })).body).toBe("original");
      expect(original.received[0]?.body.length).toBe(body.length);
      await eventually(async () => (await outcomes())["too_large"] === before + 1, "the copy was given up");
    } finally {
      stuck.close();
    }
  });

  it("copies a body of a megabyte whole", async () => {
    await use({ mirror: { host: "shadow" } });
    const body = "0123456789".repeat(100_000);
    expect((await get({ method: "POST", body, headers: { "transfer-encoding": "chunked" } })).body).toBe("original");
    await arrived(1);
    expect(shadow.received[0]?.body).toBe(body);
  });

  it("does not copy what becomes a tunnel", async () => {
    await use({ mirror: { host: "shadow" } });
    const request = "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const answer = await exchange(proxy.connectOutbound(VIP), request, (received) => received.includes("original"));
    expect(statusOf(answer)).toBe(200);
    await get({ path: "/plain" });
    await arrived(1);
    expect(shadow.received.map(({ path }) => path)).toEqual(["/plain"]);
  });

  it("has limits, connections and counts of its own", async () => {
    await use({ mirror: { host: "shadow" } }, shadow.port, networking("DestinationRule", "shadow", { host: "shadow", trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } } }));
    const before = await outcomes();
    shadow.answer = () => undefined;
    await Promise.all(Array.from({ length: 10 }, async () => expect((await get()).body).toBe("original")));
    await eventually(async () => ((await outcomes())["failed"] ?? 0) >= (before["failed"] ?? 0) + 8, "the copies beyond the limits failed");
    const text = await proxy.metrics();
    expect(text).toMatch(/envoy_cluster_upstream_rq_pending_overflow\{[^}]*shadow[^}]*\} [1-9]/);
    expect(text).not.toMatch(/envoy_cluster_upstream_rq_pending_overflow\{[^}]*reviews[^}]*\}/);
  });
});
