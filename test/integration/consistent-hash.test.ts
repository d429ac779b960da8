import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../contract/load-balancer.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { networking, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/* Requests that belong together go to one endpoint: spec/04 4.2. */

const VIP = { address: "10.96.0.10", port: 9080 };
const COUNT = 5;

describe("consistent hashing", () => {
  const servers: Server[] = [];
  /** Ports of the servers that answer 503. */
  const broken = new Set<number>();
  let proxy: ProxyUnderTest | null = null;

  beforeAll(async () => {
    for (let count = 0; count < COUNT; count++) {
      const server = createServer((_request, response) => {
        response.statusCode = broken.has(portOf(server)) ? 503 : 200;
        response.end(String(portOf(server)));
      });
      await new Promise<void>((resolve) => {
        server.listen(0, "127.0.0.1", resolve);
      });
      servers.push(server);
    }
  });
  afterAll(() => {
    for (const server of servers) server.close().closeAllConnections();
  });

  async function withHash(consistentHash: Resource, work: (send: (question: HttpQuestion) => Promise<HttpAnswer>) => Promise<void>, policy: Resource = {}): Promise<void> {
    const yaml = yamlOf(
      service({ name: "reviews", endpoints: servers.map((server) => ({ port: portOf(server) })) }),
      networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { consistentHash }, ...policy } }),
      networking("VirtualService", "reviews", { hosts: ["reviews"], http: [{ retries: { attempts: 3, retryOn: "503", backoff: "1ms" }, route: [{ destination: { host: "reviews" } }] }] }),
    );
    const opened = proxy = await ProxyUnderTest.start({ yaml, random: seededRandom(1) });
    try {
      await work((question) => ask(opened.connectOutbound(VIP), question));
    } finally {
      proxy.stop();
      broken.clear();
    }
  }

  const table = { ringHash: { minimumRingSize: 1024 } };
  it.each([
    ["a header, ring hash", { httpHeaderName: "x-user", ...table }, (user: string) => ({ headers: { "x-user": user } })],
    ["a header, Maglev", { httpHeaderName: "x-user", maglev: { tableSize: 1009 } }, (user: string) => ({ headers: { "x-user": user } })],
    ["a query parameter", { httpQueryParameterName: "user" }, (user: string) => ({ path: `/?a=1&user=${user}` })],
    ["a cookie", { httpCookie: { name: "user" } }, (user: string) => ({ headers: { cookie: `a=b; user=${user}` } })],
  ] as const)("by %s: a user stays, and users spread", async (_, consistentHash, question) => {
    await withHash(consistentHash, async (send) => {
      const first = new Map<string, string>();
      for (let round = 0; round < 3; round++) {
        for (let user = 0; user < 30; user++) {
          const { body } = await send(question(`user-${user}`));
          expect(body).toBe(first.get(`user-${user}`) ?? body);
          first.set(`user-${user}`, body);
        }
      }
      expect(new Set(first.values()).size).toBe(COUNT);
    });
  });

  it("makes a cookie for a client that has none, and keeps the client where it was then", async () => {
    await withHash({ httpCookie: { name: "user", ttl: "60s", path: "/", attributes: [{ name: "SameSite", value: "Lax" }] } }, async (send) => {
      const seen = new Set<string>();
      for (let client = 0; client < 20; client++) {
        const first = await send({});
        const cookie = String(first.headers["set-cookie"]);
        expect(cookie).toMatch(/^user="[0-9a-f]{16}"; Max-Age=60; Path=\/; SameSite=Lax; HttpOnly$/);
        const again = await send({ headers: { cookie: cookie.slice(0, cookie.indexOf(";")) } });
        expect(again.body).toBe(first.body);
        expect(again.headers["set-cookie"]).toBeUndefined();
        seen.add(first.body);
      }
      expect(seen.size).toBeGreaterThan(1);
    });
  });

  it("a session cookie has no Max-Age", async () => {
    await withHash({ httpCookie: { name: "user", ttl: "0s" } }, async (send) => {
      expect(String((await send({})).headers["set-cookie"])).toMatch(/^user="[0-9a-f]{16}"; HttpOnly$/);
    });
  });

  it("a request without the key goes anywhere", async () => {
    await withHash({ httpHeaderName: "x-user" }, async (send) => {
      const seen = new Set<string>();
      for (let request = 0; request < 40; request++) seen.add((await send({})).body);
      expect(seen.size).toBe(COUNT);
    });
  });

  it("a retry goes where the request belongs (spec/03 3.6), and only an ejection moves it", async () => {
    await withHash({ httpHeaderName: "x-user" }, async (send) => {
      const question = { headers: { "x-user": "somebody" } };
      const { body } = await send(question);
      broken.add(Number(body));
      const failed = await send(question);
      expect([failed.status, failed.body]).toEqual([503, body]);
      const moved = await send(question);
      expect(moved.status).toBe(200);
      expect(moved.body).not.toBe(body);
    }, { outlierDetection: { consecutive5xxErrors: 5, maxEjectionPercent: 100 } });
  });
});
