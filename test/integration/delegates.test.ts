import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { httpRules, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* spec/03 3.11 on live requests: a team's rules below the path that the root leaves to it. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("delegates", () => {
  const applications = new Map<string, TestApplication>();
  let proxy: ProxyUnderTest;
  let services: Resource[] = [];

  beforeAll(async () => {
    for (const name of ["shop", "cart", "pay"]) applications.set(name, await TestApplication.start(name));
    services = ["shop", "cart", "pay"].flatMap((name, index) => service({
      name, namespace: name === "shop" ? "default" : "team", clusterIP: `10.96.0.1${index}`, endpoints: [{ port: applications.get(name)?.port ?? 0 }],
    }));
    proxy = await ProxyUnderTest.start({ yaml: yamlOf(services) });
  });

  afterAll(() => {
    proxy.stop();
    for (const application of applications.values()) application.stop();
  });

  const root = httpRules("shop", { match: [{ uri: { prefix: "/team" } }], delegate: { name: "rules", namespace: "team" } }, { route: [{ destination: { host: "shop" } }] });
  /** The delegate, in the namespace `team`. */
  const delegate = (...http: readonly Resource[]): Resource => networking("VirtualService", "rules", { http }, "team");
  const bodyOf = async (path: string): Promise<string> => (await ask(proxy.connectOutbound(VIP), { path, host: "shop" })).body;

  it("routes by the delegate's rules under the root's path, and by the root's elsewhere", async () => {
    await proxy.apply(yamlOf(services, root, delegate(
      { match: [{ uri: { prefix: "/team/pay" } }], route: [{ destination: { host: "pay" } }] },
      { match: [{ uri: { prefix: "/elsewhere" } }], directResponse: { status: 418 } },
      { route: [{ destination: { host: "cart" } }] },
    )));
    expect([await bodyOf("/team/pay/1"), await bodyOf("/team/x"), await bodyOf("/elsewhere"), await bodyOf("/")]).toEqual(["pay", "cart", "shop", "shop"]);
  });

  it("leaves the path to the rules below while there is no delegate", async () => {
    await proxy.apply(yamlOf(services, root));
    expect(await bodyOf("/team/pay/1")).toBe("shop");
  });
});
