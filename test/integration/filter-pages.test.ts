import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { explain } from "../../src/cli/explain.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { meshClient } from "./mesh-client.ts";
import { service, yamlOf } from "./mesh-resources.ts";
import { examplesOf } from "./page-examples.ts";
import { ProxyUnderTest, type ProxyUnderTestOptions } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* docs/fault-injection.md, docs/cors.md and docs/rate-limiting.md: their examples, in force on a real proxy, do what the pages say. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("the pages of gates", () => {
  let application: TestApplication;
  beforeAll(async () => {
    application = await TestApplication.start("app");
  });
  afterAll(() => application.stop());

  /** The nth example of a page, with an endpoint for its service. */
  async function example(page: string, index: number, use: (proxy: ProxyUnderTest, get: (question?: HttpQuestion) => Promise<HttpAnswer>) => Promise<void>, options: Partial<ProxyUnderTestOptions> = {}): Promise<void> {
    const time = new ManualTime();
    const [, ...endpoints] = service({ name: "reviews", namespace: "shop", targetPort: application.port, endpoints: [{ port: application.port }] });
    const own = examplesOf(page)[index]?.yaml.replace("port: 9080}", `port: 9080, targetPort: ${application.port}}`) ?? "";
    const proxy = await ProxyUnderTest.start({ yaml: `${own}\n---\n${yamlOf(endpoints)}`, clock: time, timers: time.timers, ...options, workload: { namespace: "shop", serviceAccount: "reviews", labels: { app: "reviews" }, ...options.workload } });
    try {
      await use(proxy, (question) => ask(proxy.connectOutbound(VIP), question));
    } finally {
      proxy.stop();
    }
  }

  it("faults: those that are drawn, and gRPC's", () =>
    example("docs/fault-injection.md", 0, async (_proxy, get) => {
      expect((await get()).status).toBe(200);
      expect((await get({ method: "POST", path: "/shop.Reviews/Get", headers: { "content-type": "application/grpc" } })).headers["grpc-status"]).toBe("14");
      expect((await get({ path: "/shop.Reviews/Get" })).status).toBe(503);
      // Drawn 0.55: neither of the halves, nor of the tenths.
      expect((await get({ headers: { "x-user": "tester" } })).status).toBe(200);
    }, { random: () => 0.55 }));

  it("faults: explain says what the page says", async () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-pages-"));
    try {
      mkdirSync(join(folder, "mesh"));
      writeFileSync(join(folder, "mesh/shop.yaml"), examplesOf("docs/fault-injection.md")[0]?.yaml ?? "");
      const page = readFileSync(join(import.meta.dirname, "../../docs/fault-injection.md"), "utf8");
      const printed = /^```console\n\$ outrider explain .*\n([\s\S]*?)^```$/m.exec(page)?.[1]?.split("\n").filter((line) => line !== "..." && line !== "") ?? [];
      let text = "";
      await explain(["--config", join(folder, "mesh"), "--direction", "outbound", "--namespace", "shop", "GET", "http://reviews:9080/", "-H", "x-user: tester"], {},
        { stdin: Readable.from([]), out: (part) => void (text += part), err: (part) => void (text += part) });
      expect(printed.length).toBeGreaterThan(0);
      for (const line of printed) expect(text.replaceAll(`${folder}/`, "")).toContain(line);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("CORS: a preflight, and an actual request", () =>
    example("docs/cors.md", 0, async (_proxy, get) => {
      const preflight = await get({ method: "OPTIONS", headers: { origin: "https://www.shop.test", "access-control-request-method": "PUT" } });
      expect([preflight.status, preflight.headers["access-control-allow-origin"], preflight.headers["access-control-allow-methods"], preflight.headers["access-control-max-age"]]).toEqual([200, "https://www.shop.test", "GET,PUT", "86400"]);
      expect((await get({ headers: { origin: "https://shop.test" } })).headers["access-control-expose-headers"]).toBe("x-total");
      expect((await get({ headers: { origin: "https://shop.test.evil" } })).headers["access-control-allow-origin"]).toBeUndefined();
    }));

  it("limits: uploads by user at the caller", () =>
    example("docs/rate-limiting.md", 0, async (_proxy, get) => {
      const upload: HttpQuestion = { method: "POST", path: "/upload", headers: { "x-user": "anna" } };
      for (let request = 0; request < 5; request++) expect((await get(upload)).status).toBe(200);
      const { status, headers } = await get(upload);
      expect([status, headers["ratelimit-policy"], headers["ratelimit"], headers["retry-after"]])
        .toEqual([429, '"VirtualService/shop/reviews/uploads";q=5;w=60', '"VirtualService/shop/reviews/uploads";r=0;t=60', "12"]);
      expect((await get({ ...upload, headers: { "x-user": "bob" } })).status).toBe(200);
      expect((await get({ ...upload, method: "GET" })).status).toBe(200);
    }));

  it("limits: by principal where they arrive, and those of an EnvoyFilter", async () => {
    for (const index of [0, 1]) {
      await example("docs/rate-limiting.md", index, async (proxy) => {
        const send = async (from: string): Promise<number> => (await ask(meshClient(proxy.connectInbound(application.port), { spiffeId: `spiffe://cluster.local/ns/shop/sa/${from}` }))).status;
        const statuses: number[] = [];
        for (let request = 0; request < 101; request++) statuses.push(await send("web"));
        expect([statuses.filter((status) => status === 200).length, statuses.at(-1)]).toEqual([100, 429]);
        expect(await send("cart")).toBe(index === 0 ? 200 : 429);
      });
    }
  });
});
