import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { seededRandom } from "../contract/load-balancer.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { httpRules, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Which destination a request gets: spec/03 3.2 and 3.3, decided on live requests. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("HTTP routing", () => {
  const applications: TestApplication[] = [];
  let proxy: ProxyUnderTest;
  let services: Resource[] = [];

  beforeAll(async () => {
    for (const name of ["v1", "v2", "v3"]) applications.push(await TestApplication.start(name));
    services = [
      ...service({ name: "reviews", endpoints: applications.map(({ name, port }) => ({ port, labels: { version: name } })) }),
      networking("DestinationRule", "reviews", {
        host: "reviews",
        subsets: ["v1", "v2", "v3", "v4"].map((version) => ({ name: version, labels: { version } })),
      }),
    ];
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(services), random: seededRandom(7) });
  });

  afterAll(() => {
    proxy.stop();
    for (const application of applications) application.stop();
  });

  const use = (...rules: readonly Resource[]): Promise<void> => proxy.apply(yamlOf(services, httpRules("reviews", ...rules)));
  const get = (question: HttpQuestion = {}): Promise<HttpAnswer> => ask(proxy.connectOutbound(VIP), question);
  const to = (subset: string): Resource => ({ route: [{ destination: { host: "reviews", subset } }] });
  const bodyOf = async (question: HttpQuestion): Promise<string> => (await get(question)).body;

  it("matches paths exactly, by prefix and by regex, without the query", async () => {
    await use(
      { match: [{ uri: { exact: "/exact" } }], ...to("v1") },
      { match: [{ uri: { prefix: "/pre" } }], ...to("v2") },
      { match: [{ uri: { regex: "/item/[0-9]+" } }], ...to("v3") },
    );
    expect(await bodyOf({ path: "/exact?q=/other" })).toBe("v1");
    expect(await bodyOf({ path: "/prefix/and/more" })).toBe("v2");
    expect(await bodyOf({ path: "/item/42" })).toBe("v3");
    for (const path of ["/exact/", "/EXACT", "/nopre", "/item/42x", "/item/"]) {
      const answer = await get({ path });
      expect([path, answer.status, answer.body]).toEqual([path, 404, ""]);
    }
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_flags: "NR", response_code_details: "route_not_found", upstream_host: null });
  });

  it("matches the normalised path, which is the one that is sent", async () => {
    await use({ match: [{ uri: { prefix: "/admin" } }], ...to("v2") }, to("v1"));
    expect(await bodyOf({ path: "/public/..%2Fadmin//users" })).toBe("v2");
    expect(applications[1]?.requests.at(-1)?.url).toBe("/admin/users");
  });

  it("matches headers and methods, all conditions of one block and any block of a rule", async () => {
    await use(
      { match: [{ headers: { "x-user": { exact: "jason" } }, method: { exact: "POST" } }, { headers: { "x-beta": {} } }], ...to("v2") },
      { match: [{ withoutHeaders: { "x-user": {} } }], ...to("v3") },
      to("v1"),
    );
    expect(await bodyOf({ headers: { "X-User": "jason" }, method: "POST" })).toBe("v2");
    expect(await bodyOf({ headers: { "X-User": "jason" } })).toBe("v1");
    expect(await bodyOf({ headers: { "X-User": "jason2" }, method: "POST" })).toBe("v1");
    expect(await bodyOf({ headers: { "X-User": "someone", "X-Beta": "" } })).toBe("v2");
    expect(await bodyOf({ method: "POST" })).toBe("v3");
  });

  it("matches query parameters as they were sent", async () => {
    await use({ match: [{ queryParams: { v: { exact: "2" } } }], ...to("v2") }, to("v1"));
    expect(await bodyOf({ path: "/?a=1&v=2" })).toBe("v2");
    expect(await bodyOf({ path: "/?av=2&v=3&v=2" })).toBe("v1");
  });

  it("takes the first rule that matches, and the route's name goes into the log", async () => {
    await use(
      { name: "narrow", match: [{ name: "one", uri: { prefix: "/a" } }], ...to("v1") },
      { name: "wide", ...to("v2") },
      { match: [{ uri: { exact: "/a/b" } }], ...to("v3") },
    );
    expect(await bodyOf({ path: "/a/b" })).toBe("v1");
    expect(proxy.accessLog.at(-1)).toMatchObject({ route_name: "narrow.one", upstream_cluster: "outbound|9080|v1|reviews.default.svc.cluster.local" });
    expect(await bodyOf({ path: "/b" })).toBe("v2");
  });

  it("draws weighted subsets in proportion, and leaves out weight 0", async () => {
    await use({
      route: [
        { destination: { host: "reviews", subset: "v1" }, weight: 80 },
        { destination: { host: "reviews", subset: "v2" }, weight: 20 },
        { destination: { host: "reviews", subset: "v3" }, weight: 0 },
      ],
    });
    const counts: Record<string, number> = { v1: 0, v2: 0, v3: 0 };
    for (let round = 0; round < 300; round++) {
      const body = await bodyOf({});
      counts[body] = (counts[body] ?? 0) + 1;
    }
    // Drawn from a seed: the same counts each time. Three standard deviations of 300 draws are 21.
    expect(counts["v3"]).toBe(0);
    expect(Math.abs((counts["v2"] ?? 0) - 60)).toBeLessThan(21);
    expect((counts["v1"] ?? 0) + (counts["v2"] ?? 0)).toBe(300);
  });

  it("answers a direct response itself", async () => {
    await use({ match: [{ uri: { exact: "/health" } }], directResponse: { status: 418, body: { string: "a teapot" } } }, to("v1"));
    const answer = await get({ path: "/health" });
    expect([answer.status, answer.body, answer.headers["content-type"]]).toEqual([418, "a teapot", "text/plain"]);
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_code: 418, response_code_details: "direct_response", response_flags: "-", upstream_host: null });
  });

  it("sends a request without a rule to every endpoint of the service", async () => {
    await proxy.apply(yamlOf(services));
    const seen = new Set<string>();
    for (let round = 0; round < 60; round++) seen.add(await bodyOf({}));
    expect([...seen].toSorted()).toEqual(["v1", "v2", "v3"]);
    expect(proxy.accessLog.at(-1)).toMatchObject({ route_name: "default" });
  });

  it("answers 503 NC for a subset nobody defines", async () => {
    await use(to("v9"));
    const answer = await get();
    expect([answer.status, answer.body, answer.headers["x-outrider-error"]]).toEqual([503, "", "cluster_not_found"]);
    expect(proxy.accessLog.at(-1)).toMatchObject({
      response_flags: "NC", response_code_details: "cluster_not_found", upstream_cluster: "outbound|9080|v9|reviews.default.svc.cluster.local",
    });
  });

  it("answers 503 UH for a subset without endpoints", async () => {
    await use(to("v4"));
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([503, "no healthy upstream"]);
    expect(proxy.accessLog.at(-1)).toMatchObject({ response_flags: "UH", response_code_details: "no_healthy_upstream" });
  });

  it("keeps a rule to the service port it names", async () => {
    await use({ match: [{ port: 9999 }], ...to("v2") }, { match: [{ port: 9080 }], ...to("v1") });
    expect(await bodyOf({})).toBe("v1");
  });

  it("uses the policy of the port before the policy of the service", async () => {
    const rule = networking("DestinationRule", "reviews", {
      host: "reviews",
      trafficPolicy: {
        tls: { mode: "DISABLE" },
        portLevelSettings: [{ port: { number: 9080 }, tls: { mode: "SIMPLE" } }],
      },
    });
    const [first, ...rest] = services.filter(({ kind }) => kind !== "DestinationRule");
    await proxy.apply(yamlOf(first as Resource, rest, rule));
    // To an application that speaks none it is refused, never sent in the clear.
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([503, expect.stringContaining("tls_handshake_failed")]);
  });
});
