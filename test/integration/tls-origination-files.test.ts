import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask, type HttpAnswer } from "./http-client.ts";
import { networking, yamlOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { RunningProxy } from "./running-proxy.ts";
import { outsideCa, OutsideServer } from "./tls-server.ts";

/* Files of TLS origination in a real process: read by the threads, watched by the control thread, shown by nobody. */

describe("the files of TLS origination, in a running proxy", () => {
  const ca = outsideCa();
  const clientCa = outsideCa();
  const directory = mkdtempSync(join(tmpdir(), "outrider-files-"));
  let outside: OutsideServer;
  let proxy: RunningProxy;
  let port = 0;

  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  const writeClient = (name: string): void => {
    const issued = clientCa.issue(`spiffe://outside.test/ns/client/sa/${name}`);
    write("client.pem", issued.certificateChainPem);
    write("client.key", issued.privateKeyPem);
  };

  const mesh = (tls: object): string => yamlOf(
    networking("ServiceEntry", "api", {
      hosts: ["api.example.com"], location: "MESH_EXTERNAL", resolution: "DNS", endpoints: [{ address: "localhost" }], ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: outside.port }],
    }),
    networking("DestinationRule", "api", { host: "api.example.com", trafficPolicy: { tls } }),
    { apiVersion: "telemetry.istio.io/v1", kind: "Telemetry", metadata: { name: "log", namespace: "default" }, spec: { accessLogging: [{ providers: [{ name: "envoy" }] }] } },
    networking("Sidecar", "default", { egress: [{ port: { number: port, name: "http", protocol: "HTTP" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/api.example.com"] }] }));

  beforeAll(async () => {
    outside = await OutsideServer.start({ ca, clientCa, dnsNames: ["api.example.com"] });
    port = await freePort();
    writeClient("first");
    const tls = { mode: "MUTUAL", clientCertificate: join(directory, "client.pem"), privateKey: join(directory, "client.key"), caCertificates: join(directory, "ca.pem") };
    proxy = await RunningProxy.start({ files: { "mesh.yaml": mesh(tls) } });
  });
  afterAll(async () => {
    await proxy.stop();
    outside.stop();
    rmSync(directory, { recursive: true });
  });

  const get = (): Promise<HttpAnswer> => ask(connect({ port, host: "127.0.0.1" }), { host: "api.example.com" });
  const statusPage = async (): Promise<string> => (await proxy.page("/config/status")).text;

  it("a missing file refuses requests and is named; it counts as soon as it is there", async () => {
    const refused = await get();
    expect(refused).toMatchObject({ status: 503, body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure" });
    const reason = `tls_refused: DestinationRule default/api: caCertificates: ${join(directory, "ca.pem")} does not exist`;
    await proxy.logged('"response_flags":"UF"', JSON.stringify(reason));
    expect(proxy.log.find((line) => line["response_flags"] === "UF")).toMatchObject({
      upstream_transport_failure_reason: reason, response_code_details: `upstream_reset_before_response_started{remote_connection_failure|${reason.replaceAll(" ", "_")}}`,
    });
    expect(await statusPage()).toContain("ca.pem does not exist");
    write("ca.pem", ca.rootPem);
    await eventually(async () => (await get()).status === 200, "the file is in use");
    expect(outside.seen.at(-1)?.clientSubject).toContain("sa/first");
  });

  it("a new client certificate and key are used for new connections, and those before for no more requests", async () => {
    writeClient("second");
    await eventually(async () => {
      const answer = await get();
      return answer.status === 200 && (outside.seen.at(-1)?.clientSubject ?? "").includes("sa/second");
    }, "the new certificate is shown");
  });

  it("a file that breaks changes nothing but the status page", async () => {
    write("ca.pem", "garbage");
    await eventually(async () => (await statusPage()).includes("ca.pem holds no PEM: what was read before stays in use"), "the problem is named");
    expect((await get()).status).toBe(200);
    write("ca.pem", ca.rootPem);
    await eventually(async () => !(await statusPage()).includes("holds no PEM"), "and gone again");
  });

  it("no key is in the dump of the configuration, nor in the log", async () => {
    const dump = (await proxy.page("/config_dump")).text;
    expect(dump).toContain("client.key");
    expect(dump).not.toContain("PRIVATE KEY");
    expect(proxy.program.stdout).not.toContain("PRIVATE KEY");
  });

  it("credentialName: refused until the Secret is mounted, then its certificate is shown", async () => {
    const secret = join(proxy.folder, "certs", "credentials", "api-client");
    proxy.write("mesh.yaml", mesh({ mode: "MUTUAL", credentialName: "api-client" }));
    await eventually(async () => (await get()).status === 503, "there is no Secret yet");
    await proxy.logged('"response_flags":"UF"', `tls_refused: DestinationRule default/api: credentialName: ${secret}/ca.crt does not exist`);
    mkdirSync(secret, { recursive: true });
    const issued = clientCa.issue("spiffe://outside.test/ns/client/sa/secret");
    writeFileSync(join(secret, "tls.crt"), issued.certificateChainPem);
    writeFileSync(join(secret, "tls.key"), issued.privateKeyPem);
    writeFileSync(join(secret, "ca.crt"), ca.rootPem);
    await eventually(async () => (await get()).status === 200 && (outside.seen.at(-1)?.clientSubject ?? "").includes("sa/secret"), "the Secret is in use");
  });
});
