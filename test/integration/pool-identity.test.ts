import { afterAll, afterEach, beforeAll, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { STRICT } from "./proxy-pair.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/*
 * A connection in a pool serves only requests that ask the same of the peer (CVE-2026-56850, CVE-2026-58040, CVE-2026-48934 in Node's agent):
 * here two services, or two subsets, have one endpoint, and expect somebody else of it.
 */

const ID = (account: string): string => `spiffe://cluster.local/ns/default/sa/${account}`;
const REVIEWS = { address: "10.96.0.10", port: 9080 };
const RATINGS = { address: "10.96.0.11", port: 9080 };
/** Enough for every connection that a pool keeps to be asked for again. */
const ROUNDS = 5;

let application: TestApplication;
let callee: ProxyUnderTest;
let caller: ProxyUnderTest;

beforeAll(async () => {
  application = await TestApplication.start("app");
});

afterEach(() => {
  caller.stop();
  callee.stop();
});

afterAll(() => application.stop());

async function start(resourcesFor: (endpointPort: number) => readonly Resource[]): Promise<void> {
  callee = await ProxyUnderTest.start({
    yaml: yamlOf(service({ name: "reviews", targetPort: application.port, endpoints: [{ port: application.port, isMesh: true }] }), STRICT),
    workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } },
  });
  callee.destination = { address: "127.0.0.1", port: application.port };
  caller = await ProxyUnderTest.start({ yaml: yamlOf(resourcesFor(callee.inboundPort), STRICT), workload: { serviceAccount: "productpage", labels: { app: "productpage" } } });
}

const reasonOf = (body: string): string => /tls_peer_\w+/.exec(body)?.[0] ?? body;

it("a service whose accounts are others does not get the connection of another service to the same endpoint", async () => {
  await start((port) => [
    ...service({ name: "reviews", endpoints: [{ port, isMesh: true }] }),
    ...service({ name: "ratings", clusterIP: RATINGS.address, endpoints: [{ port, isMesh: true }] }),
  ]);
  for (let round = 0; round < ROUNDS; round++) {
    expect((await ask(caller.connectOutbound(REVIEWS))).status).toBe(200);
    expect(reasonOf((await ask(caller.connectOutbound(RATINGS), { host: "ratings" })).body)).toBe("tls_peer_identity_mismatch");
  }
  expect(application.requests).toHaveLength(ROUNDS);
});

it("nor does a subset that names somebody else", async () => {
  const tls = (name: string): Resource => ({ name, labels: {}, trafficPolicy: { tls: { mode: "ISTIO_MUTUAL", subjectAltNames: [ID(name)] } } });
  await start((port) => [
    ...service({ name: "reviews", endpoints: [{ port, isMesh: true }] }),
    networking("DestinationRule", "reviews", { host: "reviews", subsets: [tls("reviews"), tls("impostor")] }),
    networking("VirtualService", "reviews", {
      hosts: ["reviews"], http: [
        { match: [{ headers: { "x-to": { exact: "impostor" } } }], route: [{ destination: { host: "reviews", subset: "impostor" } }] },
        { route: [{ destination: { host: "reviews", subset: "reviews" } }] },
      ],
    }),
  ]);
  for (let round = 0; round < ROUNDS; round++) {
    expect((await ask(caller.connectOutbound(REVIEWS))).status).toBe(200);
    expect(reasonOf((await ask(caller.connectOutbound(REVIEWS), { headers: { "x-to": "impostor" } })).body)).toBe("tls_peer_identity_mismatch");
  }
});
