import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { AdminServers } from "../../../src/admin/admin-servers.ts";
import type { AdminAccess, AdminPorts } from "../../../src/admin/admin-servers.ts";
import type { AdminSources } from "../../../src/admin/admin-sources.ts";
import type { LogLevel } from "../../../src/telemetry/log-record.ts";
import { adminSources } from "./sources.ts";

const ANY: AdminPorts = { admin: 0, status: 0, ready: 0, metrics: 0 };
const running: AdminServers[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((servers) => servers.close()));
});

const TOKEN = "correct-horse-battery-staple";
const AUTHORIZED = { authorization: `Bearer ${TOKEN}` };
const ACCESS: AdminAccess = { token: TOKEN, reads: "open", socketPath: null, allowsQuit: false };

async function start(change: Partial<AdminSources> = {}, access: AdminAccess = ACCESS): Promise<AdminPorts> {
  const servers = new AdminServers(adminSources(change), access);
  running.push(servers);
  return servers.listen(ANY);
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Question {
  readonly method?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function ask(port: number, path: string, { method = "GET", host = "127.0.0.1", headers = {}, body = "" }: Question = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, path, method, host, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => { text += chunk; });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function askSocket(socketPath: string, path: string): Promise<{ readonly status: number }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method: "POST", headers: { host: "localhost" }, agent: false }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0 }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("ports", () => {
  test("0 is any, and the real ones are told", async () => {
    const ports = await start();
    expect(new Set(Object.values(ports)).size).toBe(4);
    for (const port of Object.values(ports) as number[]) expect(port).toBeGreaterThan(0);
  });

  test("one that is taken fails by name, and leaves nothing open", async () => {
    const taken = await start();
    const servers = new AdminServers(adminSources(), ACCESS);
    await expect(servers.listen({ ...ANY, ready: taken.ready })).rejects.toThrow(/EADDRINUSE/);
  });

  test("the admin port is on loopback only, the others on every interface", async () => {
    const ports = await start();
    expect((await ask(ports.ready, "/healthz/ready", { host: "127.0.0.2" })).status).toBe(200);
    await expect(ask(ports.admin, "/ready", { host: "127.0.0.2" })).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe("readiness", () => {
  test("200 when ready", async () => {
    const ports = await start();
    for (const port of [ports.ready, ports.status]) {
      expect(await ask(port, "/healthz/ready")).toMatchObject({ status: 200, body: "ready\n" });
    }
  });

  test("503 and what is waited for, a line each", async () => {
    const ports = await start({ isReady: () => false, waitingFor: () => ["configuration", "certificates"] });
    expect(await ask(ports.ready, "/healthz/ready")).toMatchObject({ status: 503, body: "configuration\ncertificates\n" });
  });
});

describe("metrics", () => {
  test("are Prometheus text on the metrics, status and admin ports", async () => {
    const ports = await start();
    for (const port of [ports.metrics, ports.status, ports.admin]) {
      const answer = await ask(port, "/stats/prometheus");
      expect(answer.status).toBe(200);
      expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
      expect(answer.body).toContain('x{a="b c"} 1');
    }
  });

  test("/metrics has the application's behind the proxy's", async () => {
    const ports = await start({ applicationMetrics: () => Promise.resolve("app_total 1\n") });
    expect((await ask(ports.status, "/metrics")).body).toMatch(/y 2\napp_total 1\n$/);
    expect((await ask((await start()).status, "/metrics")).body).toMatch(/y 2\n$/);
  });

  test("that fail answer 500 and the server lives", async () => {
    const ports = await start({ metrics: () => Promise.reject(new Error("no reader")) });
    expect(await ask(ports.metrics, "/stats/prometheus")).toMatchObject({ status: 500, body: "no reader\n" });
    expect((await ask(ports.metrics, "/nothing")).status).toBe(404);
  });
});

describe("each port serves its own paths only", () => {
  test.each([
    { port: "ready", has: ["/healthz/ready"] },
    { port: "metrics", has: ["/stats/prometheus"] },
    { port: "status", has: ["/healthz/ready", "/stats/prometheus", "/metrics"] },
  ] as const)("$port", async ({ port, has }) => {
    const ports = await start();
    for (const path of has) expect((await ask(ports[port], path)).status).toBe(200);
    for (const path of ["/config_dump", "/certs", "/logging", "/", "/quit"]) {
      const answer = await ask(ports[port], path);
      expect(answer.status).toBe(404);
      for (const known of has) expect(answer.body).toContain(`GET ${known}\n`);
    }
  });
});

describe("admin pages", () => {
  test("the index names every page", async () => {
    const ports = await start();
    const { body, headers } = await ask(ports.admin, "/");
    for (const path of ["/config_dump", "/config/status", "/clusters", "/certs", "/stats", "/server_info", "/ready", "/logging"]) expect(body).toContain(path);
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
  });

  test("JSON pages parse", async () => {
    const ports = await start();
    expect(JSON.parse((await ask(ports.admin, "/config_dump")).body)).toEqual({ version: 7, limits: { maxConnections: "unlimited" } });
    expect(JSON.parse((await ask(ports.admin, "/config/status")).body)).toEqual([{ resource: "VirtualService shop/reviews", status: "applied" }]);
    expect(JSON.parse((await ask(ports.admin, "/certs")).body)).toEqual({ certificates: [] });
    expect(JSON.parse((await ask(ports.admin, "/explain/known")).body)).toEqual({ id: "known", reason: "rule 0 denies everything" });
    expect((await ask(ports.admin, "/explain/other")).status).toBe(404);
    expect((await ask(ports.admin, "/explain")).status).toBe(404);
    expect(JSON.parse((await ask(ports.admin, "/clusters?format=json")).body)).toEqual({
      cluster_statuses: [{ name: "outbound|80||a", endpoints: [{ address: "10.0.0.1:80", cx_active: 1, health_flags: "healthy" }] }],
    });
    expect(JSON.parse((await ask(ports.admin, "/server_info")).body)).toMatchObject({ version: "1.2.3", state: "LIVE", uptime_current_epoch: "12s" });
  });

  test("before the first snapshot the dump is null", async () => {
    const ports = await start({ snapshot: () => null });
    expect(await ask(ports.admin, "/config_dump")).toMatchObject({ status: 200, body: "null\n" });
  });

  test("clusters as Envoy's text", async () => {
    const ports = await start();
    expect((await ask(ports.admin, "/clusters")).body).toBe("outbound|80||a::10.0.0.1:80::cx_active::1\noutbound|80||a::10.0.0.1:80::health_flags::healthy\n");
  });

  test("limits of a cluster, as Envoy's text has them", async () => {
    const ports = await start({ clusters: async () => [{ name: "outbound|80||a", limits: [{ name: "max_requests", count: 1, max: 9 }], endpoints: [] }] });
    expect((await ask(ports.admin, "/clusters")).body).toBe("outbound|80||a::default_priority::max_requests::9\n");
  });

  test("stats, filtered by plain text", async () => {
    const ports = await start();
    expect((await ask(ports.admin, "/stats")).body).toBe('x{a="b c"}: 1\nx{a="d"}: 0\ny: 2\n');
    expect((await ask(ports.admin, "/stats?usedonly&filter=x%7B")).body).toBe('x{a="b c"}: 1\n');
    expect((await ask(ports.admin, "/stats?filter=(a%2B)%2B%24")).body).toBe("");
  });

  test.each([["live", 200, "LIVE\n"], ["draining", 503, "DRAINING\n"], ["initializing", 503, "INITIALIZING\n"]] as const)("/ready when %s", async (state, status, body) => {
    const ports = await start({ state: () => state });
    expect(await ask(ports.admin, "/ready")).toMatchObject({ status, body });
  });

  test("the log level is changed by POST alone", async () => {
    let level: LogLevel = "info";
    const ports = await start({ logLevel: () => level, setLogLevel: (to) => { level = to; } });
    await ask(ports.admin, "/logging?level=debug");
    expect(level).toBe("info");
    expect(await ask(ports.admin, "/logging?level=debug", { method: "POST", headers: AUTHORIZED })).toMatchObject({ status: 200, body: "level: debug\n" });
    expect(level).toBe("debug");
    await ask(ports.admin, "/logging?level=warning", { method: "POST", headers: AUTHORIZED, body: "x".repeat(100_000) });
    expect(level).toBe("warn");
    expect((await ask(ports.admin, "/logging?level=loud", { method: "POST", headers: AUTHORIZED })).status).toBe(400);
    expect((await ask(ports.admin, "/logging", { method: "POST", headers: AUTHORIZED })).status).toBe(400);
    expect(level).toBe("warn");
  });

  test("a method a page does not have is refused by name; HEAD is GET without body", async () => {
    const ports = await start();
    const refused = await ask(ports.admin, "/config_dump", { method: "DELETE" });
    expect(refused.status).toBe(405);
    expect(refused.headers.allow).toBe("GET");
    expect(await ask(ports.admin, "/ready", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
  });
});

describe("whoever changes something needs the token, or the socket (CVE-2024-40632)", () => {
  const post = (port: number, headers: Record<string, string> = {}): Promise<Answer> => ask(port, "/logging?level=debug", { method: "POST", headers });

  test.each([
    ["none", {}],
    ["another", { authorization: "Bearer correct-horse-battery-stable" }],
    ["the beginning of it", { authorization: "Bearer correct-horse" }],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
    ["an empty one", { authorization: "Bearer " }],
  ])("%s is refused", async (_, headers) => {
    let level: LogLevel = "info";
    const ports = await start({ setLogLevel: (to) => { level = to; } });
    expect(await post(ports.admin, headers)).toMatchObject({ status: 403, body: "changes need the token of --admin-token-file, as Authorization: Bearer TOKEN\n" });
    expect(level).toBe("info");
  });

  test("without a token there is nothing to present", async () => {
    const ports = await start({}, { token: null, reads: "open", socketPath: null, allowsQuit: false });
    expect(await post(ports.admin, AUTHORIZED)).toMatchObject({ status: 403, body: "changes are refused here; start the proxy with --admin-token-file, or use its --admin-socket\n" });
    expect((await ask(ports.admin, "/logging")).status).toBe(200);
  });

  test("the socket needs none, is for its user alone, and takes the place of one left behind", async () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-admin-"));
    const socketPath = join(folder, "admin.sock");
    const levels: LogLevel[] = [];
    try {
      await start({ setLogLevel: (to) => { levels.push(to); } }, { token: null, reads: "open", socketPath, allowsQuit: false });
      expect(statSync(socketPath).mode & 0o777).toBe(0o600);
      expect((await askSocket(socketPath, "/logging?level=debug")).status).toBe(200);
      // As after a process that was killed: the file is there and nobody listens. One that ends in order takes it away.
      renameSync(socketPath, `${socketPath}-kept`);
      await running.pop()?.close();
      renameSync(`${socketPath}-kept`, socketPath);
      await start({ setLogLevel: (to) => { levels.push(to); } }, { token: null, reads: "open", socketPath, allowsQuit: false });
      expect((await askSocket(socketPath, "/logging?level=warn")).status).toBe(200);
      expect(levels).toEqual(["debug", "warn"]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("a socket that somebody listens on is left alone", async () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-admin-"));
    const socketPath = join(folder, "agent.sock");
    const other = createServer((socket) => socket.on("error", () => undefined).end("mine"));
    try {
      await new Promise<void>((resolve) => {
        other.listen(socketPath, resolve);
      });
      await expect(start({}, { token: null, reads: "open", socketPath, allowsQuit: false })).rejects.toThrow(/EADDRINUSE/);
      const answer = await new Promise((resolve) => {
        connect(socketPath).once("data", (text: Buffer) => resolve(text.toString()));
      });
      expect(answer).toBe("mine");
    } finally {
      other.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test("a file that is no socket is left alone", async () => {
    const folder = mkdtempSync(join(tmpdir(), "outrider-admin-"));
    const socketPath = join(folder, "notes.txt");
    writeFileSync(socketPath, "mine");
    try {
      await expect(start({}, { token: null, reads: "open", socketPath, allowsQuit: false })).rejects.toThrow(/EADDRINUSE/);
      expect(readFileSync(socketPath, "utf8")).toBe("mine");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("a web page cannot reach the admin port through a browser (hostile B30)", () => {
  test.each([
    { about: "a rebound name", headers: { host: "evil.example" } },
    { about: "a name that begins like ours", headers: { host: "localhost.evil.example" } },
    { about: "an address that is not loopback", headers: { host: "10.0.0.7:15000" } },
    { about: "a form posted from elsewhere", headers: { host: "localhost:15000", origin: "https://evil.example" } },
    { about: "a sandboxed frame", headers: { host: "localhost:15000", origin: "null" } },
    { about: "a cross-site fetch", headers: { host: "localhost:15000", "sec-fetch-site": "cross-site" } },
  ])("$about", async ({ headers }) => {
    let level: LogLevel = "info";
    const ports = await start({ setLogLevel: (to) => { level = to; } });
    expect((await ask(ports.admin, "/logging?level=debug", { method: "POST", headers: { ...AUTHORIZED, ...(headers as Record<string, string>) } })).status).toBe(403);
    expect((await ask(ports.admin, "/config_dump", { headers: headers as Record<string, string> })).status).toBe(403);
    expect(level).toBe("info");
  });

  test.each(["localhost", "localhost:15000", "127.0.0.1:15000", "[::1]:15000"])("Host %s is ours", async (host) => {
    const ports = await start();
    expect((await ask(ports.admin, "/ready", { headers: { host } })).status).toBe(200);
  });

  test("the kubelet names the pod's address, and that is well on the other ports", async () => {
    const ports = await start();
    expect((await ask(ports.ready, "/healthz/ready", { headers: { host: "10.0.0.7:15021" } })).status).toBe(200);
  });
});

test("garbage and sockets that are cut do no harm", async () => {
  const ports = await start();
  for (const bytes of ["\u0000\u0001garbage\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /"]) {
    await new Promise<void>((resolve) => {
      const socket = connect(ports.admin, "127.0.0.1", () => {
        socket.write(bytes, () => socket.resetAndDestroy());
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve());
    });
  }
  expect((await ask(ports.admin, "/ready")).status).toBe(200);
});
