import { createServer, type Server } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { httpRules, portOf, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";

/* Cross-origin resource sharing: spec/03 3.10. */

const VIP = { address: "10.96.0.10", port: 9080 };
const ORIGIN = "https://shop.test";
const PREFLIGHT: HttpQuestion = {
  method: "OPTIONS", headers: { origin: ORIGIN, "access-control-request-method": "PUT", "access-control-request-headers": "x-a, x-b" },
};

describe("corsPolicy", () => {
  let server: Server;
  let served = 0;

  beforeAll(async () => {
    server = createServer((_request, response) => {
      served++;
      response.setHeader("access-control-allow-origin", "application's own");
      response.end("body");
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
  });
  afterAll(() => {
    server.close().closeAllConnections();
  });

  async function through(corsPolicy: Resource, question: HttpQuestion, rule: Resource = {}): Promise<{ answer: HttpAnswer; cors: Record<string, unknown> }> {
    const yaml = yamlOf(service({ name: "reviews", endpoints: [{ port: portOf(server) }] }), httpRules("reviews", { route: [{ destination: { host: "reviews" } }], corsPolicy, ...rule }));
    served = 0;
    const proxy = await ProxyUnderTest.start({ yaml });
    try {
      const answer = await ask(proxy.connectOutbound(VIP), question);
      const cors = Object.fromEntries(Object.entries(answer.headers).filter(([name]) => name.startsWith("access-control-")));
      return { answer, cors };
    } finally {
      proxy.stop();
    }
  }

  it("answers a preflight of an origin that is allowed by itself", async () => {
    const { answer, cors } = await through({
      allowOrigins: [{ exact: "https://other.test" }, { prefix: "https://shop." }], allowMethods: ["GET", "PUT"], allowHeaders: ["x-a", "x-c"],
      exposeHeaders: ["x-e"], maxAge: "24h", allowCredentials: true,
    }, PREFLIGHT);
    expect([answer.status, answer.body, served]).toEqual([200, "", 0]);
    expect(cors).toEqual({
      "access-control-allow-origin": ORIGIN, "access-control-allow-credentials": "true", "access-control-allow-methods": "GET,PUT",
      "access-control-allow-headers": "x-a,x-c", "access-control-max-age": "86400",
    });
  });

  it("echoes what was asked for where it says *, and says nothing of what is not configured", async () => {
    expect((await through({ allowOrigins: [{ exact: "*" }], allowMethods: ["*"], allowHeaders: ["*"] }, PREFLIGHT)).cors).toEqual({
      "access-control-allow-origin": ORIGIN, "access-control-allow-methods": "PUT", "access-control-allow-headers": "x-a, x-b",
    });
    expect((await through({ allowOrigins: [{ regex: ".*" }] }, PREFLIGHT)).cors).toEqual({ "access-control-allow-origin": ORIGIN });
    expect((await through({ allowOrigin: [ORIGIN] }, PREFLIGHT)).cors).toEqual({ "access-control-allow-origin": ORIGIN });
  });

  it.each([
    ["UNSPECIFIED", "body", 1],
    ["FORWARD", "body", 1],
    ["IGNORE", "", 0],
  ])("a preflight of another origin, %s", async (unmatchedPreflights, body, times) => {
    const { answer, cors } = await through({ allowOrigins: [{ exact: "https://other.test" }], unmatchedPreflights }, PREFLIGHT);
    expect([answer.status, answer.body, served]).toEqual([200, body, times]);
    expect(cors).toEqual(times === 1 ? { "access-control-allow-origin": "application's own" } : {});
  });

  it.each([
    ["an actual request", { headers: { origin: ORIGIN } }, { "access-control-allow-origin": ORIGIN, "access-control-allow-credentials": "true", "access-control-expose-headers": "x-e,x-f" }],
    ["OPTIONS that is no preflight", { method: "OPTIONS", headers: { origin: ORIGIN } }, { "access-control-allow-origin": ORIGIN, "access-control-allow-credentials": "true", "access-control-expose-headers": "x-e,x-f" }],
    ["another origin", { headers: { origin: "https://evil.test" } }, { "access-control-allow-origin": "application's own" }],
    ["no origin", {}, { "access-control-allow-origin": "application's own" }],
  ])("%s goes to the application; its answer is marked", async (_what, question, expected) => {
    const { answer, cors } = await through({ allowOrigins: [{ exact: ORIGIN }], exposeHeaders: ["x-e", "x-f"], allowCredentials: true }, question);
    expect([answer.status, answer.body, served]).toEqual([200, "body", 1]);
    expect(cors).toEqual(expected);
  });

  it("marks an answer of the proxy's own too, but not one of a fault, which comes before", async () => {
    const policy = { allowOrigins: [{ exact: ORIGIN }] };
    const direct = await through(policy, { headers: { origin: ORIGIN } }, { route: undefined, directResponse: { status: 404 } });
    expect([direct.answer.status, direct.cors["access-control-allow-origin"]]).toEqual([404, ORIGIN]);
    const fault = await through(policy, { headers: { origin: ORIGIN } }, { fault: { abort: { httpStatus: 500, percentage: { value: 100 } } } });
    expect([fault.answer.status, fault.cors]).toEqual([500, {}]);
  });
});
