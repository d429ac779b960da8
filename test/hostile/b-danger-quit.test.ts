import { request } from "node:http";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, it } from "vitest";

import { freePort } from "../integration/free-port.ts";
import { ask } from "../integration/http-client.ts";
import { asSocket, HboneClient } from "../integration/hbone-client.ts";
import { networking, yamlOf } from "../integration/mesh-resources.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { RunningProxy, type RunningProxyOptions } from "../integration/running-proxy.ts";
import { TestApplication } from "../integration/test-application.ts";

/* `/quitquitquit` and `/drain` on the status port: who can end the proxy ends the pod's traffic (CVE-2024-40632, CVE-2026-31838, B30). */

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Question {
  readonly method?: string;
  readonly to?: string;
  readonly from?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const running: (RunningProxy | TestApplication)[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map(async (one) => one.stop()));
});

async function start(flags: readonly string[], options: Partial<RunningProxyOptions> = {}): Promise<RunningProxy> {
  const proxy = await RunningProxy.start({ files: {}, ...options, flags: ["--drain", "30", ...flags] });
  running.push(proxy);
  return proxy;
}

function post(port: number, path: string, { method = "POST", to = "127.0.0.1", from, headers = {} }: Question = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: to, port, path, method, headers, agent: false, ...(from === undefined ? {} : { localAddress: from }) }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text)).on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
const isReady = async (proxy: RunningProxy): Promise<boolean> => (await proxy.page("/healthz/ready", "ready")).status === 200;

describe("POST /quitquitquit and POST /drain", () => {
  it("are off unless they were allowed", async () => {
    const proxy = await start([]);
    for (const path of ["/quitquitquit", "/drain"]) expect(await post(proxy.ports.status, path)).toEqual({ status: 403, body: "off; start the proxy with --allow-quit\n" });
    expect(await isReady(proxy)).toBe(true);
  });

  it("quitting is what SIGTERM does: an answer, a drain, exit code 0", async () => {
    const application = await TestApplication.start("app", () => undefined);
    running.push(application);
    const port = await freePort();
    const ingress = yamlOf(networking("Sidecar", "default", {
      ingress: [{ port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${application.port}` }],
    }));
    const proxy = await start([], { files: { "sidecar.yaml": ingress }, environment: { OUTRIDER_ALLOW_QUIT: "true" } });
    const held = ask(connect(port, "127.0.0.1")).catch((error: Error) => error);
    await eventually(() => application.requests.length > 0, "a request is under way");
    expect(await post(proxy.ports.status, "/quitquitquit")).toEqual({ status: 200, body: "draining, then ending\n" });
    await proxy.logged("asked to end", "/quitquitquit");
    expect(await isReady(proxy)).toBe(false);
    // As with a second SIGTERM.
    expect((await post(proxy.ports.status, "/quitquitquit")).status).toBe(200);
    expect(await proxy.program.finished).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(await held).toBeInstanceOf(Error);
  });

  it("quitting answers before it ends, also without a drain", async () => {
    const proxy = await start(["--allow-quit", "--drain", "0"]);
    expect(await post(proxy.ports.status, "/quitquitquit")).toEqual({ status: 200, body: "draining, then ending\n" });
    expect(await proxy.program.finished).toMatchObject({ code: 0, stderr: "" });
  });

  it("draining fails readiness and goes on; SIGTERM then ends it", async () => {
    const proxy = await start(["--allow-quit"]);
    const answers = [await post(proxy.ports.status, "/drain"), await post(proxy.ports.status, "/drain")];
    expect(answers).toEqual([{ status: 200, body: "draining\n" }, { status: 200, body: "draining\n" }]);
    await proxy.logged("asked to drain");
    expect(await isReady(proxy)).toBe(false);
    expect((await proxy.page("/server_info")).text).toContain("DRAINING");
    // Long after it would have ended.
    await new Promise((resolve) => {
      setTimeout(resolve, 1000);
    });
    expect((await proxy.page("/ready")).status).toBe(503);
    proxy.program.signal("SIGTERM");
    expect(await proxy.program.finished).toMatchObject({ code: 0, stderr: "" });
  });

  it("are for programs of the pod alone that ask for them themselves", async () => {
    const proxy = await start(["--allow-quit"]);
    const refused: readonly (readonly [string, Question])[] = [
      ["through the proxy, from 127.0.0.6", { from: "127.0.0.6" }],
      ["from elsewhere on loopback", { from: "127.0.0.2" }],
      ["to another address of the host", { to: "127.0.0.9", from: "127.0.0.1", headers: { host: "localhost" } }],
      ["CVE-2024-40632: by a name that was rebound", { headers: { host: "evil.example" } }],
      ["by the pod's address as Host", { headers: { host: `10.0.0.7:${proxy.ports.status}` } }],
      ["by a form of a web page", { headers: { origin: "https://evil.example" } }],
      ["by a web page of this host", { headers: { origin: "http://localhost:3000" } }],
      ["by a sandboxed frame", { headers: { origin: "null" } }],
      ["by a browser", { headers: { "sec-fetch-site": "same-origin" } }],
      ["forwarded by a sidecar", { headers: { "x-forwarded-proto": "http" } }],
      ["forwarded by any proxy", { headers: { via: "1.1 proxy" } }],
      ["forwarded for somebody", { headers: { "X-Forwarded-For": "127.0.0.1" } }],
    ];
    for (const [what, question] of refused) {
      for (const path of ["/quitquitquit", "/drain"]) expect((await post(proxy.ports.status, path, question)).status, what).toBe(403);
    }
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "TRACE"]) expect((await post(proxy.ports.status, "/quitquitquit", { method })).status, method).toBe(405);
    for (const port of [proxy.ports.admin, proxy.ports.ready, proxy.ports.metrics]) expect((await post(port, "/quitquitquit")).status).toBe(404);
    for (const path of ["//quitquitquit", "/./quitquitquit", "/%71uitquitquit", "/QUITQUITQUIT", "http://127.0.0.1/quitquitquit"]) expect((await post(proxy.ports.status, path)).status, path).toBe(404);
    expect(await isReady(proxy)).toBe(true);
    const [to, host] = hasIpv6 ? ["::1", "[::1]:15020"] : ["127.0.0.1", "localhost"];
    expect((await post(proxy.ports.status, "/quitquitquit", { to, headers: { host } })).status).toBe(200);
  });

  it("are not reached through a tunnel, nor through a port of a Sidecar resource that leads there", async () => {
    const [status, ingressPort] = [await freePort(), await freePort()];
    const ingress = yamlOf(networking("Sidecar", "default", {
      ingress: [{ port: { number: ingressPort, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${status}` }],
    }));
    const proxy = await start(["--allow-quit", "--hbone-port", "0", "--status-port", String(status)], { files: { "sidecar.yaml": ingress } });
    const { hbone } = proxy.ports as typeof proxy.ports & { readonly hbone: number };
    const client = new HboneClient(hbone);
    const question = { path: "/quitquitquit", method: "POST", headers: { host: "localhost" } };
    try {
      const answers = [await ask(asSocket(await client.open(`127.0.0.1:${status}`)), question), await ask(connect(ingressPort, "127.0.0.1"), question)];
      expect(answers.map((answer) => answer.status)).toEqual([503, 503]);
    } finally {
      client.close();
    }
    expect(await isReady(proxy)).toBe(true);
  });

  it.each(["127.0.0.1", "[::1]"])("B27: are not reached through opaque connections that the proxy makes to %s, nor are the admin pages", async (own) => {
    const [status, admin, ready, ...bound] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort(), await freePort(), await freePort()] as const;
    const targets = [status, admin, ready];
    const yaml = yamlOf(
      networking("Sidecar", "default", {
        ingress: targets.map((port, index) => ({ port: { number: bound[index], protocol: "TCP", name: `tcp-${index}` }, bind: "127.0.0.1", defaultEndpoint: `${own}:${port}` })),
        egress: [{ port: { number: bound[3], protocol: "TCP", name: "tcp" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./own.test"] }],
      }),
      networking("ServiceEntry", "own", {
        hosts: ["own.test"], resolution: "STATIC", location: "MESH_EXTERNAL", ports: [{ number: bound[3], protocol: "TCP", name: "tcp" }],
        endpoints: [{ address: own.replaceAll(/[[\]]/g, ""), ports: { tcp: status } }],
      }),
    );
    const proxy = await start(["--allow-quit", "--status-port", String(status), "--admin-port", String(admin), "--ready-port", String(ready)], { files: { "own.yaml": yaml } });
    const through = (port: number, path: string, method: string): Promise<Answer | string> => post(port, path, { method }).catch((error: NodeJS.ErrnoException) => error.code ?? String(error));
    expect(await through(bound[0], "/quitquitquit", "POST")).toBe("ECONNRESET");
    expect(await through(bound[3], "/quitquitquit", "POST")).toBe("ECONNRESET");
    expect(await through(bound[1], "/config_dump", "GET")).toBe("ECONNRESET");
    // What says no more than whether traffic may come is led to.
    expect(await through(bound[2], "/healthz/ready", "GET")).toEqual({ status: 200, body: "ready\n" });
    expect(await isReady(proxy)).toBe(true);
  });
});
