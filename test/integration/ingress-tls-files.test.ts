import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { freePort } from "./free-port.ts";
import { networking, security, yamlOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* The files of TLS that a port terminates itself, in a real process: read by the threads, watched by the control thread. */

describe("the files of an ingress entry's TLS, in a running proxy", () => {
  const ca = DevelopmentCa.create("outside.test", systemClock);
  const directory = mkdtempSync(join(tmpdir(), "outrider-ingress-"));
  let application: TestApplication;
  let proxy: RunningProxy;
  let port = 0;

  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const issue = (account: string): void => {
    const issued = ca.issue(`spiffe://outside.test/ns/edge/sa/${account}`);
    write("cert.pem", issued.certificateChainPem);
    write("key.pem", issued.privateKeyPem);
  };
  /** Whom the server's certificate names, and the status it gave; null when it gave none. */
  const served = (): Promise<{ readonly name: string; readonly status: number } | null> => new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/", ca: ca.rootPem, checkServerIdentity: () => undefined, agent: false, headers: { host: "reviews.example" } }, (response) => {
      response.resume();
      resolve({ name: (response.socket as TLSSocket).getPeerCertificate().subjectaltname ?? "", status: response.statusCode ?? 0 });
    });
    request.on("error", () => resolve(null));
  });
  const statusPage = async (): Promise<string> => (await proxy.page("/config/status")).text;

  beforeAll(async () => {
    application = await TestApplication.start("application");
    port = await freePort();
    const tls = { mode: "SIMPLE", serverCertificate: join(directory, "cert.pem"), privateKey: join(directory, "key.pem") };
    proxy = await RunningProxy.start({ files: { "mesh.yaml": yamlOf(
      networking("Sidecar", "reviews", { ingress: [{ port: { number: port, name: "https", protocol: "HTTPS" }, bind: "127.0.0.1", captureMode: "NONE", defaultEndpoint: `127.0.0.1:${application.port}`, tls }], egress: [{ hosts: ["*/*"] }] }),
      security("PeerAuthentication", "default", { mtls: { mode: "DISABLE" } }),
    ) } });
  });
  afterAll(async () => {
    await proxy.stop();
    application.stop();
    rmSync(directory, { recursive: true });
  });

  it("refuse connections while they are not there, which is told, and count as soon as they are", async () => {
    expect(await served()).toBeNull();
    expect(await statusPage()).toContain("cert.pem does not exist: connections to this port are refused");
    issue("first");
    await eventually(async () => (await served())?.status === 200, "the port is served");
    expect((await served())?.name).toContain("sa/first");
  });

  it("count anew when they are replaced", async () => {
    issue("second");
    await eventually(async () => (await served())?.name.includes("sa/second") === true, "the new certificate is shown");
  });

  it("stay in use as a pair while a certificate and its key do not belong together, which is told", async () => {
    const issued = ca.issue("spiffe://outside.test/ns/edge/sa/third");
    write("cert.pem", issued.certificateChainPem);
    await eventually(async () => {
      expect(await served()).toMatchObject({ status: 200, name: expect.stringContaining("sa/second") as string });
      return proxy.log.some(({ msg }) => msg === "ingress TLS is served with what was before");
    }, "the log tells of it");
    expect(proxy.log.find(({ msg }) => msg === "ingress TLS is served with what was before")).toMatchObject({ level: "error", file: join(directory, "cert.pem"), reason: expect.stringContaining("mismatch") as string });
    write("key.pem", issued.privateKeyPem);
    await eventually(async () => (await served())?.name.includes("sa/third") === true, "the new certificate is shown");
  });

  it("change nothing but the status page when they break", async () => {
    write("cert.pem", "garbage");
    await eventually(async () => (await statusPage()).includes("cert.pem holds no PEM: what was read before stays in use"), "the problem is named");
    expect(await served()).toMatchObject({ status: 200 });
  });
});
