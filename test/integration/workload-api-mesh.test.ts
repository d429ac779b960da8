import { once } from "node:events";
import { connect } from "node:net";
import type { TLSSocket } from "node:tls";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { meshClient } from "./mesh-client.ts";
import { networking, service, yamlOf } from "./mesh-resources.ts";
import { STRICT } from "./proxy-pair.ts";
import { eventually, testCa } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";
import { type MessageToSend, WorkloadApiServer } from "./workload-api-server.ts";

/*
 * Two sidecars, each a process with an agent of its own, and mesh mTLS between them: certificates and trust change while
 * requests run. Faults F10 and F12, from the Workload API instead of files.
 */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/productpage";
const FOREIGN = "spiffe://example.org/ns/default/sa/productpage";

describe("identities from the Workload API between two sidecars", () => {
  const nextCa = DevelopmentCa.create("cluster.local", systemClock);
  const foreignCa = DevelopmentCa.create("example.org", systemClock);
  const both = testCa.rootPem + nextCa.rootPem;
  let application: TestApplication;
  let apis: { readonly caller: WorkloadApiServer; readonly callee: WorkloadApiServer };
  let callee: RunningProxy;
  let caller: RunningProxy;
  let ingress = 0;
  let egress = 0;

  beforeAll(async () => {
    application = await TestApplication.start("app");
  });

  beforeEach(async () => {
    apis = { caller: await WorkloadApiServer.start(), callee: await WorkloadApiServer.start() };
    apis.caller.send(message(PRODUCTPAGE));
    apis.callee.send(message(REVIEWS));
    [ingress, egress] = [await freePort(), await freePort()];
    const inbound = networking("Sidecar", "default", {
      ingress: [{ port: { number: ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    });
    const outbound = networking("Sidecar", "default", {
      egress: [{ port: { number: egress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }],
    });
    const reviews = service({ name: "reviews", port: egress, endpoints: [{ port: ingress, isMesh: true }] });
    const start = (api: WorkloadApiServer, yaml: string): Promise<RunningProxy> =>
      RunningProxy.start({ files: { "mesh.yaml": yaml }, hasCertificates: false, flags: ["--identity", "spiffe", "--spiffe-socket", api.uri] });
    callee = await start(apis.callee, yamlOf(inbound, STRICT));
    caller = await start(apis.caller, yamlOf(outbound, reviews, STRICT));
  });

  afterEach(async () => {
    await Promise.all([caller.stop(), callee.stop()]);
    apis.caller.close();
    apis.callee.close();
  });

  afterAll(() => application.stop());

  function message(spiffeId: string, ca = testCa, more: { readonly bundle?: string } & Pick<MessageToSend, "federated"> = {}): MessageToSend {
    const { bundle = ca.rootPem, federated = {} } = more;
    return { svids: [{ spiffeId, issued: ca.issue(spiffeId), bundle }], federated };
  }

  const load = (): Load => new Load(() => connect(egress, "127.0.0.1"), 4);
  const metric = async (proxy: RunningProxy, name: string): Promise<number> =>
    Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, "m").exec((await proxy.page("/stats/prometheus", "metrics")).text)?.[1] ?? 0);
  const generation = async (proxy: RunningProxy): Promise<number> =>
    (JSON.parse((await proxy.page("/certs")).text) as { certificates: { generation: number }[] }).certificates[0]?.generation ?? 0;

  /** Status of a request to the callee of a peer that is not ours; 0 when it was refused. */
  async function statusAs(spiffeId: string, ca: DevelopmentCa): Promise<number> {
    const socket = meshClient(connect(ingress, "127.0.0.1"), { spiffeId, ca });
    socket.on("error", () => undefined);
    try {
      return (await ask(socket)).status;
    } catch {
      return 0;
    } finally {
      socket.destroy();
    }
  }

  /** A connection to the callee that had an answer and stays. */
  async function live(spiffeId: string, ca: DevelopmentCa): Promise<TLSSocket> {
    const socket = meshClient(connect(ingress, "127.0.0.1"), { spiffeId, ca });
    socket.on("error", () => undefined);
    socket.write("GET / HTTP/1.1\r\nhost: reviews\r\n\r\n");
    const [bytes] = (await once(socket, "data")) as [Buffer];
    expect(bytes.toString("latin1")).toMatch(/^HTTP\/1\.1 200 /);
    // The end of what nobody reads is never told.
    socket.resume();
    return socket;
  }

  it("rotate under load, certificates and the authority, without a request lost", async () => {
    const running = load();
    await running.more(50);
    for (let round = 0; round < 5; round++) {
      apis.caller.send(message(PRODUCTPAGE));
      apis.callee.send(message(REVIEWS));
      await running.more(40);
    }
    // Everybody believes both roots before anybody shows the new one; the old one goes last.
    const steps: readonly (readonly [WorkloadApiServer, MessageToSend])[] = [
      [apis.caller, message(PRODUCTPAGE, testCa, { bundle: both })], [apis.callee, message(REVIEWS, testCa, { bundle: both })],
      [apis.callee, message(REVIEWS, nextCa, { bundle: both })], [apis.caller, message(PRODUCTPAGE, nextCa, { bundle: both })],
      [apis.caller, message(PRODUCTPAGE, nextCa)], [apis.callee, message(REVIEWS, nextCa)],
    ];
    for (const [api, next] of steps) {
      const proxy = api === apis.caller ? caller : callee;
      const before = await generation(proxy);
      api.send(next);
      await eventually(async () => (await generation(proxy)) === before + 1, "the message is in force");
      await running.more(40);
    }
    await running.stop();
    expect(running.failures).toEqual([]);
    expect([await metric(caller, "outrider_identity_errors_total"), await metric(callee, "outrider_identity_errors_total")]).toEqual([0, 0]);
    // Whoever shows a certificate of the old authority is refused from now on.
    expect([await statusAs(PRODUCTPAGE, testCa), await statusAs(PRODUCTPAGE, nextCa)]).toEqual([0, 200]);
  });

  it("serve on while the agent is restarted, and are renewed when it is back", async () => {
    const running = load();
    await running.more(50);
    const before = await generation(callee);
    apis.callee.stop();
    apis.caller.stop();
    await callee.logged("certificate problem", "ENOENT");
    await running.more(200);
    expect(await metric(callee, "outrider_identity_source_connected")).toBe(0);
    expect((await callee.page("/healthz/ready", "ready")).status).toBe(200);
    await Promise.all([apis.callee.start(), apis.caller.start()]);
    apis.callee.send(message(REVIEWS));
    apis.caller.send(message(PRODUCTPAGE));
    await eventually(async () => (await generation(callee)) > before, "it has what the new agent gave");
    expect(await metric(callee, "outrider_identity_source_connected")).toBe(1);
    expect(await metric(callee, "outrider_identity_reconnects_total")).toBeGreaterThan(0);
    await running.more(50);
    await running.stop();
    expect(running.failures).toEqual([]);
  });

  it("serve on by the last message when the next is bad, and when it is larger than any is", async () => {
    const running = load();
    await running.more(20);
    const before = await generation(callee);
    apis.callee.sendBytes(Buffer.from("garbage"));
    await callee.logged("certificate problem", apis.callee.uri, "cannot be read");
    apis.callee.sendBytes(Buffer.alloc(5 * 1024 * 1024));
    await callee.logged("certificate problem", "RESOURCE_EXHAUSTED");
    await running.more(50);
    await running.stop();
    expect([running.failures, await generation(callee)]).toEqual([[], before]);
    apis.callee.send(message(REVIEWS));
    await eventually(async () => (await generation(callee)) > before, "the good message is in force");
    const { problems } = JSON.parse((await callee.page("/certs")).text) as { problems: string[] };
    expect(problems).toEqual([]);
  });

  it("believe peers of a federated domain as long as its bundle is sent, and nobody of it a second later", async () => {
    expect(await statusAs(FOREIGN, foreignCa)).toBe(0);
    apis.callee.send(message(REVIEWS, testCa, { federated: { "example.org": foreignCa.rootPem } }));
    await eventually(async () => (await statusAs(FOREIGN, foreignCa)) === 200, "the peer of the other domain is let in");
    // Its authority vouches for its own domain alone, and ours for ours.
    expect(await statusAs(PRODUCTPAGE, foreignCa)).toBe(0);
    expect(await statusAs(FOREIGN, testCa)).toBe(0);
    // What is open when the bundle goes: the other domain's connection is closed, ours is not.
    const [foreign, ours] = [await live(FOREIGN, foreignCa), await live(PRODUCTPAGE, testCa)];
    const before = await generation(callee);
    apis.callee.send(message(REVIEWS));
    await eventually(async () => (await generation(callee)) > before, "the bundle is taken away");
    await eventually(async () => (await statusAs(FOREIGN, foreignCa)) === 0, "the peer of the other domain is refused");
    await eventually(() => foreign.closed, "its connection is closed");
    expect([ours.closed, await statusAs(PRODUCTPAGE, testCa)]).toEqual([false, 200]);
    ours.destroy();
  });
});
