import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { eventually, testCa } from "./proxy-under-test.ts";
import { outrider, RunningProxy } from "./running-proxy.ts";
import { type MessageToSend, WorkloadApiServer } from "./workload-api-server.ts";

/* `outrider proxy --identity spiffe` as operators run it, with a Workload API of the test. */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";

interface CertificatesPage {
  readonly source: { readonly kind: string; readonly location: string; readonly connected: boolean; readonly svids: readonly unknown[] };
  readonly certificates: readonly { readonly spiffeId: string; readonly generation: number; readonly chain: string }[];
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

describe("outrider proxy --identity spiffe", () => {
  let api: WorkloadApiServer;
  let readyPort: number;
  const proxies: RunningProxy[] = [];

  beforeEach(async () => {
    api = await WorkloadApiServer.start();
    readyPort = await freePort();
  });

  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    api.close();
  });

  const flags = (...more: readonly string[]): string[] => ["--identity", "spiffe", "--spiffe-socket", api.uri, "--ready-port", String(readyPort), ...more];
  const spawn = (...more: readonly string[]): RunningProxy => keep(RunningProxy.spawn({ files: {}, hasCertificates: false, flags: flags(...more) }));
  const start = async (...more: readonly string[]): Promise<RunningProxy> => keep(await RunningProxy.start({ files: {}, hasCertificates: false, flags: flags(...more) }));
  const reviews = (extra: Partial<MessageToSend> = {}): MessageToSend => ({ svids: [{ spiffeId: REVIEWS, issued: testCa.issue(REVIEWS) }], ...extra });
  const pageOf = async (proxy: RunningProxy): Promise<CertificatesPage> => JSON.parse((await proxy.page("/certs")).text) as CertificatesPage;

  function keep(proxy: RunningProxy): RunningProxy {
    proxies.push(proxy);
    return proxy;
  }

  async function readiness(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`).catch(() => null);
    return response === null ? "" : `${response.status} ${await response.text()}`;
  }

  it("is ready with what the Workload API gives, shows the source and no key, and says how it stands in metrics", async () => {
    const message = reviews();
    api.send(message);
    const proxy = await start();
    const page = await pageOf(proxy);
    expect(page.source).toMatchObject({ kind: "spiffe", location: api.uri, connected: true, svids: [{ spiffeId: REVIEWS, hint: "" }] });
    expect(page.certificates.map(({ spiffeId }) => spiffeId)).toEqual([REVIEWS]);
    expect(page.problems).toEqual([]);
    // Who does not send the header is refused.
    expect(api.refused).toBe(0);
    for (const path of ["/certs", "/config_dump", "/config/status", "/server_info", "/"]) expect((await proxy.page(path)).text).not.toMatch(/PRIVATE KEY/);
    const metrics = (await proxy.page("/stats/prometheus", "metrics")).text;
    expect(metrics).toContain('outrider_identity_updates_total{source="spiffe"} 1');
    expect(metrics).toContain('outrider_identity_source_connected{source="spiffe"} 1');
    // They begin with 0: an alert on the first error needs something to compare it with.
    for (const name of ["errors", "reconnects"]) expect(metrics).toContain(`outrider_identity_${name}_total{source="spiffe"} 0`);
    proxy.program.signal("SIGTERM");
    expect(await proxy.program.finished).toMatchObject({ code: 0, stderr: "" });
    // Neither whole nor a line of it.
    const keyLines = message.svids.flatMap(({ issued }) => issued.privateKeyPem.trim().split("\n").slice(1, -1));
    expect(keyLines.length).toBeGreaterThan(1);
    for (const line of keyLines) expect(proxy.program.stdout).not.toContain(line);
    await eventually(() => api.openStreams === 0, "the stream is gone with the process");
  });

  it("takes a renewed SVID from the stream, and asks anew on SIGHUP", async () => {
    api.send(reviews());
    const proxy = await start();
    const [before] = (await pageOf(proxy)).certificates;
    api.send(reviews());
    await eventually(async () => (await pageOf(proxy)).certificates[0]?.chain !== before?.chain, "the renewed SVID is in force");
    expect((await pageOf(proxy)).certificates[0]?.generation).toBe((before?.generation ?? 0) + 1);
    const calls = api.calls;
    proxy.program.signal("SIGHUP");
    await eventually(() => api.calls === calls + 1 && api.openStreams === 1, "a new stream in place of the old one");
    // The same again is no change.
    await eventually(async () => (await pageOf(proxy)).source.connected, "it is connected again");
    expect((await pageOf(proxy)).certificates[0]?.generation).toBe((before?.generation ?? 0) + 1);
  });

  it("waits for an agent that is not there yet, names the socket and the reason, and never exits", async () => {
    api.stop();
    const proxy = spawn();
    await eventually(async () => (await readiness()).includes("ENOENT"), "it says why");
    expect(await readiness()).toMatch(new RegExp(`^503 [^]*certificates from the SPIFFE Workload API at ${api.uri}`));
    await api.start();
    api.send(reviews());
    await eventually(async () => (await readiness()).startsWith("200"), "it is ready");
    expect((await pageOf(proxy)).problems).toEqual([]);
  });

  it("waits for an agent that has no identity for it, and is ready once it has", async () => {
    api.refuse(status.PERMISSION_DENIED, "no identity issued");
    const proxy = spawn();
    await eventually(async () => (await readiness()).includes("PERMISSION_DENIED: no identity issued"), "it says why");
    await proxy.logged("certificate problem", api.uri, "PERMISSION_DENIED");
    api.send(reviews());
    await eventually(async () => (await readiness()).startsWith("200"), "it is ready");
  });

  it("tells of each problem once, whatever else comes and goes meanwhile", async () => {
    const leaf = testCa.issue("spiffe://example.org/x").certificateChainPem;
    const message = reviews({ federated: { "example.org": leaf } });
    api.send(message);
    const proxy = await start();
    const errors = (): number => proxy.log.filter(({ msg, reason }) => msg === "certificate problem" && String(reason).includes("example.org")).length;
    await eventually(() => errors() === 1, "the bundle is named");
    for (let round = 0; round < 2; round++) {
      api.refuse(status.PERMISSION_DENIED, `no identity ${round}`);
      await proxy.logged("certificate problem", `no identity ${round}`);
      api.send(message);
      await eventually(async () => (await pageOf(proxy)).problems.length === 1, "only the bundle is wrong");
    }
    expect(errors()).toBe(1);
    expect((await proxy.page("/stats/prometheus", "metrics")).text).toContain('outrider_identity_errors_total{source="spiffe"} 3');
  });

  it("asks no more where the socket is not a Workload API, until a reload", async () => {
    api.refuse(status.UNIMPLEMENTED, "unknown service");
    const proxy = spawn();
    await proxy.logged("certificate problem", "UNIMPLEMENTED", "SIGHUP");
    const { calls } = api;
    api.send(reviews());
    await new Promise((resolve) => {
      setTimeout(resolve, 1500);
    });
    expect(api.calls).toBe(calls);
    proxy.program.signal("SIGHUP");
    await eventually(async () => (await readiness()).startsWith("200"), "it is ready");
  });

  it("uses the SVID of the hint where there are several", async () => {
    const other = REVIEWS.replace("reviews", "ratings");
    api.send({ svids: [{ spiffeId: REVIEWS, issued: testCa.issue(REVIEWS), hint: "internal" }, { spiffeId: other, issued: testCa.issue(other), hint: "external" }] });
    const proxy = await start("--spiffe-hint", "external");
    const { certificates, source } = await pageOf(proxy);
    expect([certificates[0]?.spiffeId, source.svids]).toEqual([other, [{ spiffeId: REVIEWS, hint: "internal" }, { spiffeId: other, hint: "external" }]]);
  });

  it("names revocation lists that it does not obey", async () => {
    api.send(reviews({ crls: [Buffer.from("a list")] }));
    const proxy = await start();
    await proxy.logged("certificate warning", "crl", api.uri);
    expect((await pageOf(proxy)).warnings.join()).toContain("crl");
  });

  it.each([
    ["a source that is none", ["--identity", "vault"], "--identity"],
    ["no socket", ["--identity", "spiffe"], "SPIFFE_ENDPOINT_SOCKET"],
    ["a socket that is none", ["--identity", "spiffe", "--spiffe-socket", "/run/agent.sock"], "--spiffe-socket"],
    ["TCP beyond loopback", ["--identity", "spiffe", "--spiffe-socket", "tcp://10.0.0.1:8081"], "loopback"],
  ])("refuses %s: exit 2 and one line", async (_what, args, named) => {
    const finished = await outrider(["proxy", "--config", import.meta.dirname, ...args]).finished;
    expect([finished.code, finished.stdout]).toEqual([2, ""]);
    expect(finished.stderr).toMatch(/^outrider proxy: [^\n]+\n$/);
    expect(finished.stderr).toContain(named);
  });
});
