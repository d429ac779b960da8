import type { Socket } from "node:net";

import { afterAll, afterEach, expect, it, vi } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { meshClient } from "./mesh-client.ts";
import { type Resource, security, yamlOf } from "./mesh-resources.ts";
import { STRICT } from "./proxy-pair.ts";
import { exchange, ProxyUnderTest, statusOf, testCa } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/*
 * Symptom: a federated domain's peers were let in before the policies that deny them. Cause: a snapshot waits for what verifies tokens to be
 * loaded, and the roots that came after it did not wait. Fix: an identity never overtakes a snapshot.
 */

/** Opens what the loads wait for, in the order they began. */
const gates = vi.hoisted((): (() => void)[] => []);

vi.mock("../../src/filter/jose.ts", async (original) => {
  const module = await original<typeof import("../../src/filter/jose.ts")>();
  const opened = (): Promise<void> => new Promise((resolve) => {
    gates.push(resolve);
  });
  return { ...module, loadJose: () => opened().then(module.loadJose) };
});

const PARTNER = "partner.example";
const partnerCa = DevelopmentCa.create(PARTNER, systemClock);
const application = await TestApplication.start("app");
const yaml = (...resources: readonly Resource[]): string => yamlOf(STRICT, ...resources);
const policy = security("AuthorizationPolicy", "no-page", { action: "DENY", rules: [{ from: [{ source: { serviceAccounts: ["productpage"] } }] }] });
const tokens = security("RequestAuthentication", "tokens", { jwtRules: [{ issuer: "a.test", jwks: '{"keys":[]}' }] });

afterEach(() => {
  gates.length = 0;
});
afterAll(() => application.stop());

it("whom new roots let in is judged by the policies that came before them", async () => {
  const proxy = await ProxyUnderTest.start({ yaml: yaml(), workload: { federatedTrustDomains: [PARTNER] } });
  const callAs = async (trustDomain: string, ca: DevelopmentCa): Promise<number> => {
    const socket: Socket = proxy.connectInbound(application.port);
    socket.on("error", () => socket.destroy());
    const client = meshClient(socket, { spiffeId: `spiffe://${trustDomain}/ns/default/sa/productpage`, ca });
    return statusOf(await exchange(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").catch(() => ""));
  };
  expect(await callAs("cluster.local", testCa)).toBe(200);
  const applied = proxy.apply(yaml(policy, tokens));
  proxy.useIdentity("spiffe://cluster.local/ns/default/sa/test", testCa, testCa.rootPem, [{ trustDomain: PARTNER, pem: partnerCa.rootPem }]);
  expect([await callAs("cluster.local", testCa), await callAs(PARTNER, partnerCa)]).toEqual([200, 0]);
  gates[0]?.();
  await applied;
  expect([await callAs("cluster.local", testCa), await callAs(PARTNER, partnerCa)]).toEqual([403, 403]);
  proxy.stop();
});

it("a snapshot that was overtaken counts as obeyed when the one is that overtook it, not before: whoever waits for it would listen", async () => {
  const proxy = await ProxyUnderTest.start({ yaml: yaml() });
  const obeyed: string[] = [];
  const first = proxy.apply(yaml(tokens)).then(() => obeyed.push("first"));
  const second = proxy.apply(yaml(tokens, policy)).then(() => obeyed.push("second"));
  gates[0]?.();
  await new Promise(setImmediate);
  expect(obeyed).toEqual([]);
  gates[1]?.();
  await Promise.all([first, second]);
  expect(obeyed).toHaveLength(2);
  proxy.stop();
});
