import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ask } from "./http-client.ts";
import { type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ISTIO_HTTP } from "./mesh-client.ts";
import { eventually, ProxyUnderTest, testCa } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* Requests for another host than the TLS connection was opened for: hostile row B12, users 1.18. */

describe("B12 inbound TLS for one host and a request for another", () => {
  let application: TestApplication;
  let proxy: ProxyUnderTest;

  const world = (annotations: Resource = {}): string => {
    const [first, ...rest] = service({ name: "test", selector: { app: "test" }, endpoints: [{ port: application.port }] });
    return yamlOf({ ...first, metadata: { name: "test", namespace: "default", annotations } }, rest);
  };

  beforeAll(async () => {
    application = await TestApplication.start("test");
    proxy = await ProxyUnderTest.start({ yaml: world() });
  });
  afterAll(() => {
    proxy.stop();
    application.stop();
  });

  const over = (servername: string): TLSSocket => {
    const issued = testCa.issue("spiffe://cluster.local/ns/default/sa/caller");
    return connectTls({
      socket: proxy.connectInbound(application.port), servername, rejectUnauthorized: false, ALPNProtocols: ISTIO_HTTP,
      cert: issued.certificateChainPem, key: issued.privateKeyPem,
    });
  };

  it("is refused with 421, and the application hears nothing of it", async () => {
    expect((await ask(over("a.test"), { host: "a.test" })).status).toBe(200);
    expect((await ask(over("a.test"), { host: "b.test" })).status).toBe(421);
    await eventually(() => proxy.accessLog.some((line) => line["response_code"] === 421), "logged");
    expect(proxy.accessLog.find((line) => line["response_code"] === 421)).toMatchObject({ response_code_details: "misdirected_request", upstream_host: null });
  });

  it("sidecars name destinations in their own way, which says nothing of hosts", async () => {
    expect((await ask(over("outbound_.9080_._.test.default.svc.cluster.local"), { host: "anything.test" })).status).toBe(200);
  });

  it("outrider.io/sni-host-mismatch: allow on the service lets it pass", async () => {
    await proxy.apply(world({ "outrider.io/sni-host-mismatch": "allow" }));
    expect((await ask(over("a.test"), { host: "b.test" })).status).toBe(200);
    await proxy.apply(world({ "outrider.io/sni-host-mismatch": "refuse" }));
    expect((await ask(over("a.test"), { host: "b.test" })).status).toBe(421);
  });
});
