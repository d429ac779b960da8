import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { Load } from "./load.ts";
import { asSocket, HboneClient } from "./hbone-client.ts";
import { httpRules, networking, portOf, service, yamlOf } from "./mesh-resources.ts";
import { eventually } from "./proxy-under-test.ts";
import { outrider, type Ports, RunningProxy, type RunningProxyOptions } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* The program as operators run it: start, reload, signals, end. Faults F14, F16, F17, F18; users 1.1, 1.2, 1.6. */

describe("outrider proxy", () => {
  let application: TestApplication;
  let handle: (request: IncomingMessage, response: ServerResponse) => void;
  let ingress = 0;
  let egress = 0;
  const proxies: RunningProxy[] = [];

  beforeEach(async () => {
    handle = (_request, response) => response.end("app");
    application = await TestApplication.start("app", (request, response) => handle(request, response));
    [ingress, egress] = [await freePort(), await freePort()];
  });

  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    application.stop();
  });

  /** Without capture: a port of its own for what arrives, and one for what goes out. */
  const sidecar = (): string => yamlOf(networking("Sidecar", "default", {
    ingress: [{ port: { number: ingress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    egress: [{ port: { number: egress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }],
  }));
  const services = (): string => yamlOf(service({ name: "reviews", port: egress, endpoints: [{ port: application.port, labels: { version: "v1" } }] }));
  const rule = (status: number): string => yamlOf(httpRules("reviews", { directResponse: { status } }));

  function keep(proxy: RunningProxy): RunningProxy {
    proxies.push(proxy);
    return proxy;
  }
  const start = async (options: Partial<RunningProxyOptions> = {}): Promise<RunningProxy> =>
    keep(await RunningProxy.start({ files: { "sidecar.yaml": sidecar(), "services.yaml": services() }, ...options }));
  const inbound = (): Socket => connect(ingress, "127.0.0.1");
  const outbound = (): Socket => connect(egress, "127.0.0.1");
  const statusOut = async (): Promise<number> => (await ask(outbound())).status;

  it("serves both ways by the ports of a Sidecar resource", async () => {
    await start();
    expect((await ask(inbound())).body).toBe("app");
    expect((await ask(outbound())).body).toBe("app");
  });

  it("listens for HBONE only where it is asked to, on a port that the ready line names", async () => {
    expect((await start()).ports).not.toHaveProperty("hbone");
    const proxy = await start({ flags: ["--hbone-port", "0"], files: { "services.yaml": services() } });
    const { hbone } = proxy.ports as Ports & { readonly hbone: number };
    const client = new HboneClient(hbone);
    const answer = await ask(asSocket(await client.open(`127.0.0.1:${application.port}`)));
    expect([answer.status, answer.body]).toEqual([200, "app"]);
    client.close();
  });

  it("serves on by the last good version of what is broken, names the place, and takes up what is fixed", async () => {
    const proxy = await start({ files: { "sidecar.yaml": sidecar(), "services.yaml": services(), "rule.yaml": rule(299) } });
    expect(await statusOut()).toBe(299);
    const load = new Load(outbound, 2);
    proxy.write("rule.yaml", "kind: VirtualService\nspec: {hosts: ]}\n");
    await proxy.logged("configuration problem", `${join(proxy.folder, "config", "rule.yaml")}:2:`);
    expect(await statusOut()).toBe(299);
    const { text } = await proxy.page("/config/status");
    expect(text).toContain("rule.yaml:2:");

    // Valid YAML and no valid rule: the field is named.
    proxy.write("rule.yaml", rule(298).replace("directResponse", "directReply"));
    await proxy.logged("configuration problem", "rule.yaml:1:", "directReply");
    expect(await statusOut()).toBe(299);
    expect((JSON.parse((await proxy.page("/config/status")).text) as { objects: { state: string }[] }).objects.some(({ state }) => state === "stale")).toBe(true);

    proxy.write("rule.yaml", rule(297));
    await eventually(async () => (await statusOut()) === 297, "the fixed rule is in force");
    await load.more(10);
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(new Set(load.results.map(({ status }) => status))).toEqual(new Set([299, 297]));
    const status = JSON.parse((await proxy.page("/config/status")).text) as { generation: number; problems: string[] };
    expect(status.generation).toBeGreaterThan(1);
    expect(status.problems.filter((problem) => problem.includes("rule.yaml"))).toEqual([]);
  });

  it("reloads on SIGHUP, certificates too, and outlives SIGUSR1 without opening a debugger", async () => {
    const proxy = await start();
    const serial = async (): Promise<string> => (await proxy.page("/certs")).text;
    const before = await serial();
    proxy.writeCertificates();
    proxy.write("rule.yaml", rule(296));
    proxy.program.signal("SIGHUP");
    proxy.program.signal("SIGUSR1");
    await eventually(async () => (await statusOut()) === 296, "the new rule is in force");
    await eventually(async () => (await serial()) !== before, "the new certificate is in force");
    expect(proxy.program.stderr).not.toContain("Debugger");
  });

  it("drains on SIGTERM: everything that came is answered, connections are told to close, exit 0", async () => {
    let finish: () => void = () => undefined;
    handle = (request, response) => {
      if (request.url === "/slow") finish = () => response.end("slow");
      else response.end("app");
    };
    const proxy = await start({ flags: ["--drain", "60"] });
    const slow = ask(inbound(), { path: "/slow" });
    slow.catch(() => undefined);
    await eventually(() => application.requests.some(({ url }) => url === "/slow"), "the slow request is at the application");
    const load = new Load(inbound, 4);
    await load.more(50);
    proxy.program.signal("SIGTERM");
    await eventually(async () => (await proxy.page("/healthz/ready", "ready")).status === 503, "it is no longer ready");
    // It takes the cluster a while to hear of it: until then requests come, on new connections as on old ones.
    await load.more(100);
    const draining = await ask(inbound(), { headers: { connection: "keep-alive" } });
    expect([draining.status, draining.headers.connection]).toEqual([200, "close"]);
    // The application may still call out.
    const out = await ask(outbound(), { headers: { connection: "keep-alive" } });
    expect([out.status, out.headers.connection]).toEqual([200, undefined]);
    await load.stop();
    expect(load.failures).toEqual([]);
    finish();
    expect((await slow).body).toBe("slow");
    expect(await proxy.program.finished).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  it("exits at once on the second SIGTERM", async () => {
    handle = () => undefined;
    const proxy = await start({ flags: ["--drain", "600"] });
    const held = ask(inbound()).catch((error: Error) => error);
    await eventually(() => application.requests.length > 0, "a request is under way");
    proxy.program.signal("SIGTERM");
    await proxy.logged("asked to end");
    expect((await proxy.page("/healthz/ready", "ready")).status).toBe(503);
    proxy.program.signal("SIGTERM");
    expect(await proxy.program.finished).toMatchObject({ code: 0, signal: null });
    expect(await held).toBeInstanceOf(Error);
  });

  it("ends after its time even if something is under way", async () => {
    handle = () => undefined;
    const proxy = await start({ flags: ["--drain", "1"] });
    const held = ask(inbound()).catch((error: Error) => error);
    await eventually(() => application.requests.length > 0, "a request is under way");
    proxy.program.signal("SIGTERM");
    expect(await proxy.program.finished).toMatchObject({ code: 0 });
    expect(await held).toBeInstanceOf(Error);
  });

  it.each([
    ["an unknown flag", ["--unknown"], "--unknown"],
    ["a port that is none", ["--inbound-port", "70000"], "--inbound-port"],
    ["a log level that is none", ["--log-level", "loud"], "--log-level"],
  ])("refuses %s: exit 2 and one line", async (_what, args, named) => {
    const finished = await outrider(["proxy", "--config", import.meta.dirname, ...args]).finished;
    expect([finished.code, finished.stdout]).toEqual([2, ""]);
    expect(finished.stderr).toMatch(/^outrider proxy: [^\n]+\n$/);
    expect(finished.stderr).toContain(named);
  });

  it.each(["--inbound-port", "--outbound-port", "--admin-port", "--ready-port"])("refuses a port that is taken (%s): exit 2 and one line", async (flag) => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, "127.0.0.1", resolve);
    });
    const proxy = keep(RunningProxy.spawn({ files: {}, flags: [flag, String(portOf(taken))] }));
    const finished = await proxy.program.finished;
    expect(finished.code).toBe(2);
    expect(finished.stderr).toMatch(/^outrider proxy: [^\n]+\n$/);
    expect(finished.stderr).toContain(String(portOf(taken)));
    taken.close();
  });

  it("is not ready without certificates and says so; `outrider wait` waits", async () => {
    const readyPort = await freePort();
    const proxy = keep(RunningProxy.spawn({ files: { "sidecar.yaml": sidecar() }, hasCertificates: false, flags: ["--ready-port", String(readyPort)] }));
    const readiness = async (): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`).catch(() => null);
      return response === null ? "" : `${response.status} ${await response.text()}`;
    };
    await eventually(async () => /^503 [^]*certificates/.test(await readiness()) && !/configuration|listeners/.test(await readiness()), "it waits for certificates alone");
    const inVain = await outrider(["wait", "--port", String(readyPort), "--timeout", "1"]).finished;
    expect(inVain.code).toBe(1);
    expect(inVain.stderr).toMatch(/^outrider wait: not ready: [^\n]*certificates[^\n]*\n$/);
    const waiting = outrider(["wait", "--port", String(readyPort), "--timeout", "60"]);
    proxy.writeCertificates();
    expect(await waiting.finished).toMatchObject({ code: 0, stderr: "" });
    expect(await readiness()).toMatch(/^200 ready/);
    // Traffic that needs no certificate was served all the while.
    expect((await ask(inbound())).body).toBe("app");
  });

  it("starts on what it can read: one broken object costs no other", async () => {
    const proxy = await start({ files: { "sidecar.yaml": sidecar(), "services.yaml": services(), "broken.yaml": `${rule(299).replace("directResponse", "directReply")}\n---\n: {` } });
    expect(await statusOut()).toBe(200);
    expect(proxy.program.stdout).toContain("broken.yaml");
    expect((await proxy.page("/stats/prometheus", "metrics")).text).toMatch(/outrider_config/);
  });

  it("shares one port among its data threads", async () => {
    const proxy = await start({ flags: ["--concurrency", "2"] });
    const { ports } = proxy;
    await eventually(() => listeners(ports.inbound) === 2 && listeners(ports.outbound) === 2 && listeners(ingress) === 2, "both threads listen on the same ports");
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(inbound())));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    proxy.write("rule.yaml", rule(295));
    // In force on both: no connection sees the old one any more.
    await eventually(async () => (await Promise.all(Array.from({ length: 10 }, statusOut))).every((status) => status === 295), "both threads obey the new rule");
    expect((await proxy.page("/server_info")).text).toContain("2");
    expect(proxy.log.filter(({ msg }) => msg === "ready")).toHaveLength(1);
    proxy.program.signal("SIGTERM");
    expect(await proxy.program.finished).toMatchObject({ code: 0, stderr: "" });
  });
});

/** Sockets that listen on a port of loopback, as the kernel counts them. */
function listeners(port: number): number {
  const hex = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync("/proc/net/tcp", "latin1").split("\n").filter((line) => line.includes(` ${hex} 00000000:0000 0A `)).length;
}
