import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { CertificateRequest } from "../../src/identity/development-ca.ts";
import { freePort } from "./free-port.ts";
import { ISTIO_TCP } from "./mesh-client.ts";
import { networking, yamlOf } from "./mesh-resources.ts";
import { STRICT } from "./proxy-pair.ts";
import { eventually, rawServer, testCa } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";

/* faults.md F11: our own certificate expires since its rotator is dead, as an operator sees it; users.md 1.19. */

const ID = "spiffe://cluster.local/ns/default/sa/reviews";

interface CertificatesPage {
  readonly clock: string;
  readonly certificates: readonly { readonly generation: number; readonly state: string; readonly secondsLeft: number }[];
  readonly bundles: readonly { readonly roots: readonly { readonly state: string }[] }[];
  readonly problems: readonly string[];
}

describe("F11 a certificate that nobody renews", () => {
  let proxy: RunningProxy;

  beforeAll(async () => {
    proxy = await RunningProxy.start({ files: { "all.yaml": yamlOf(STRICT) } });
  });
  afterAll(() => proxy.stop());

  const page = async (): Promise<CertificatesPage> => JSON.parse((await proxy.page("/certs")).text) as CertificatesPage;

  function write(request: CertificateRequest): void {
    const issued = testCa.issue(ID, request);
    for (const [name, text] of [["cert-chain.pem", issued.certificateChainPem], ["key.pem", issued.privateKeyPem]] as const) writeFileSync(join(proxy.folder, "certs", name), text);
  }

  /** Writes until one was taken up: on a machine that stands still a short life may be over by then. */
  async function renew(request: CertificateRequest): Promise<void> {
    const before = (await page()).certificates[0]?.generation ?? 0;
    for (let tries = 0; tries < 10; tries++) {
      write(request);
      const end = performance.now() + 2_000;
      while (performance.now() < end) {
        if (((await page()).certificates[0]?.generation ?? 0) > before) return;
        await new Promise((resolve) => {
          setTimeout(resolve, 50);
        });
      }
    }
    throw new Error("no certificate was taken up");
  }

  it("is told of before its end, takes the proxy out of readiness at its end, and a renewal brings it back", async () => {
    expect((await page()).certificates).toMatchObject([{ state: "valid" }]);
    await renew({ notBeforeMs: 0, lifetimeMs: 6_000 });
    const { status } = await proxy.page("/healthz/ready", "ready");
    // Still valid now, so it was before; a machine that stood still meanwhile shows nothing.
    if ((await page()).certificates[0]?.state === "valid") expect(status).toBe(200);
    await proxy.logged("certificate expires soon", "leaf", "every peer refuses this workload", proxy.folder);
    await proxy.logged("certificate expired", "error", ID);
    await eventually(async () => (await proxy.page("/healthz/ready", "ready")).status === 503, "it is not ready");
    expect((await proxy.page("/healthz/ready", "ready")).text).toMatch(/^certificate of spiffe:\/\/cluster\.local\/ns\/default\/sa\/reviews expired at 20.*Z and was not renewed in .*certs\n$/);
    expect(await page()).toMatchObject({ certificates: [{ state: "expired" }], bundles: [{ roots: [{ state: "valid" }] }] });
    const metrics = (await proxy.page("/stats/prometheus")).text;
    expect(metrics).toMatch(/^outrider_certificate_valid 0$/m);
    expect(metrics).toMatch(/^outrider_certificate_seconds_until_first_expiry -\d/m);
    expect(metrics).toMatch(/^istio_agent_cert_expiry_seconds\{resource_name="default"\} -\d/m);
    expect(metrics).toMatch(/^istio_agent_cert_expiry_seconds\{resource_name="ROOTCA"\} [1-9]/m);
    expect(metrics).toMatch(/^outrider_certificate_not_after_seconds\{certificate="bundle",trust_domain="cluster\.local"\} \d+/m);
    await renew({});
    await eventually(async () => (await proxy.page("/healthz/ready", "ready")).text === "ready\n", "it is ready again");
    expect((await page()).certificates).toMatchObject([{ state: "valid" }]);
  });

  it("is not replaced by one of a clock that is ahead, whose validity is named", async () => {
    const before = (await page()).certificates[0]?.generation;
    write({ notBeforeMs: 600_000 });
    await proxy.logged("certificate problem", "tls_peer_not_yet_valid, it is valid from 20");
    expect((await page()).certificates[0]?.generation).toBe(before);
    expect((await page()).problems).toHaveLength(1);
    expect((await proxy.page("/healthz/ready", "ready")).status).toBe(200);
  });
});

describe("--close-expired", () => {
  it("closes a connection when the certificate ends that its peer came with, and no other", async () => {
    const echo = await rawServer((socket) => socket.on("error", () => socket.destroy()).pipe(socket));
    const ingress = await freePort();
    const sidecar = networking("Sidecar", "default", {
      ingress: [{ port: { number: ingress, protocol: "TCP", name: "tcp" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${echo.port}` }],
    });
    const proxy = await RunningProxy.start({ files: { "all.yaml": yamlOf(STRICT, sidecar) }, flags: ["--close-expired"] });
    const open = (lifetimeMs: number): Promise<TLSSocket> => new Promise((resolve, reject) => {
      const issued = testCa.issue("spiffe://cluster.local/ns/default/sa/caller", { notBeforeMs: 0, lifetimeMs });
      const socket = connectTls({ host: "127.0.0.1", port: ingress, rejectUnauthorized: false, ALPNProtocols: [...ISTIO_TCP], cert: issued.certificateChainPem, key: issued.privateKeyPem });
      socket.once("data", () => resolve(socket));
      socket.on("error", reject);
      socket.on("close", () => reject(new Error("closed before an answer")));
      socket.write("ping");
    });
    /** With as short a life as the machine is fast enough for. */
    const openShort = (lifetimeMs: number): Promise<TLSSocket> => open(lifetimeMs).catch((error: unknown) => (lifetimeMs > 60_000 ? Promise.reject(error as Error) : openShort(2 * lifetimeMs)));
    const [short, long] = await Promise.all([openShort(6_000), open(3_600_000)]);
    await eventually(() => short.destroyed || short.readableEnded || short.closed, "the connection was closed");
    await proxy.logged("tls_peer_expired", "the certificate that spiffe://cluster.local/ns/default/sa/caller came with expired at");
    expect(long.destroyed || long.readableEnded).toBe(false);
    long.destroy();
    await proxy.stop();
    echo.close();
  });
});
