import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { type AdminPorts, AdminServers } from "../../src/admin/admin-servers.ts";
import { eventually, exchange, statusOf } from "../integration/proxy-under-test.ts";
import { adminSources } from "../unit/admin/sources.ts";

/* B30, CVE-2024-40632, CVE-2026-31838: what any container of the pod may send to the admin port, byte for byte. */

const TOKEN = "correct-horse-battery-staple";
const AUTHORIZED = `Authorization: Bearer ${TOKEN}`;

let servers: AdminServers;
let ports: AdminPorts;
let folder: string;
let changes: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "outrider-admin-"));
  const sources = adminSources({ setLogLevel: (level) => changes.push(level), quit: () => changes.push("quit"), drain: () => changes.push("drain") });
  servers = new AdminServers(sources, { token: TOKEN, reads: "open", socketPath: join(folder, "socket"), allowsQuit: true });
  ports = await servers.listen({ admin: 0, status: 0, ready: 0, metrics: 0 });
});
beforeEach(() => {
  changes = [];
});
afterAll(async () => {
  await servers.close();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (bytes: string, socket: Socket = connect(ports.admin, "127.0.0.1")): Promise<string> => exchange(socket, bytes);
const lines = (...all: readonly string[]): string => `${[...all, "Connection: close"].join("\r\n")}\r\n\r\n`;
const post = (...more: readonly string[]): string => lines("POST /logging?level=debug HTTP/1.1", ...more);

describe("who is answered", () => {
  it.each([
    ["CVE-2024-40632: a name that was rebound", ["Host: evil.example"]],
    ["a name below ours", ["Host: x.localhost"]],
    ["a name that ends like an address", ["Host: 127.0.0.1.evil.example"]],
    ["an address by another spelling", ["Host: 0x7f.1"]],
    ["another address of loopback", ["Host: 127.0.0.2"]],
    ["a user before the name", ["Host: localhost@evil.example"]],
    ["two names", ["Host: localhost", "Host: evil.example"]],
    ["one name twice", ["Host: localhost", "Host: localhost"]],
    ["an empty name", ["Host: "]],
    ["a web page elsewhere", ["Host: localhost", "Origin: https://evil.example"]],
    ["a page that looks local", ["Host: localhost", "Origin: http://localhost.evil.example"]],
    ["a page without an origin", ["Host: localhost", "Origin: null"]],
    ["a picture of a page elsewhere", ["Host: localhost", "Sec-Fetch-Site: cross-site"]],
  ])("not %s", async (_who, fields) => {
    expect([statusOf(await ask(lines("GET /config_dump HTTP/1.1", ...fields))), statusOf(await ask(post(...fields, AUTHORIZED)))]).toEqual([403, 403]);
    expect(changes).toEqual([]);
  });

  it("not a request without a name: of HTTP/1.1 it is none, of HTTP/1.0 it is foreign", async () => {
    expect(statusOf(await ask(lines("GET /config_dump HTTP/1.1")))).not.toBe(200);
    expect(statusOf(await ask(lines("GET /config_dump HTTP/1.0")))).toBe(403);
  });

  it("a program of this host is", async () => {
    expect(statusOf(await ask(lines("GET /config_dump HTTP/1.1", "Host: localhost:15000")))).toBe(200);
  });
});

describe("who changes something", () => {
  it("whoever knows the token, or may open the socket", async () => {
    expect(statusOf(await ask(post("Host: localhost", AUTHORIZED)))).toBe(200);
    expect(statusOf(await ask(post("Host: localhost"), connect(join(folder, "socket"))))).toBe(200);
    expect(changes).toEqual(["debug", "debug"]);
  });

  it.each([
    ["nothing", []], ["the token in a cookie", [`Cookie: token=${TOKEN}`]], ["the token twice", [`Authorization: Bearer ${TOKEN} ${TOKEN}`]], ["the token of another case", [AUTHORIZED.toUpperCase()]],
    ["the token behind another", ["Authorization: Bearer x", AUTHORIZED]], ["the token's beginning", [AUTHORIZED.slice(0, -1)]], ["the token and more", [`${AUTHORIZED}x`]], ["a long one", [`Authorization: Bearer ${"x".repeat(8000)}`]],
  ])("nobody by %s", async (_what, fields) => {
    expect(statusOf(await ask(post("Host: localhost", ...fields)))).toBe(403);
    expect(changes).toEqual([]);
  });

  it("nobody by the other ports, with the token or without", async () => {
    for (const port of [ports.status, ports.ready, ports.metrics]) expect(statusOf(await ask(post("Host: localhost", AUTHORIZED), connect(port, "127.0.0.1")))).toBe(404);
    expect(changes).toEqual([]);
  });

  it("nobody by GET", async () => {
    expect(await ask(lines("GET /logging?level=debug HTTP/1.1", "Host: localhost", AUTHORIZED))).toMatch(/level: info\n$/);
    expect(changes).toEqual([]);
  });
});

describe("what is answered", () => {
  it.each(["OPTIONS", "TRACE", "PUT", "DELETE", "PATCH", "PROPFIND"])("%s is no method of a page, and is told nothing", async (method) => {
    const answer = await ask(lines(`${method} /config_dump HTTP/1.1`, "Host: localhost", "X-Secret: echo", AUTHORIZED));
    expect(statusOf(answer)).toBe(405);
    expect(answer).toMatch(/\r\nallow: GET\r\n/);
    expect(answer).not.toMatch(/echo|access-control/i);
  });

  it("HEAD is GET without a body, and changes nothing", async () => {
    const answer = await ask(lines("HEAD /logging?level=debug HTTP/1.1", "Host: localhost", AUTHORIZED));
    expect([statusOf(answer), answer.slice(answer.indexOf("\r\n\r\n") + 4), changes]).toEqual([200, "", []]);
  });

  it("a path in any other form is none", async () => {
    for (const path of ["http://localhost/config_dump", "//config_dump", "/config_dump/", "/./config_dump", "/%63onfig_dump", "/config_dump/../certs", "/config_dump%00", "/CONFIG_DUMP", "/\\config_dump", "*", "/explain/../certs"]) {
      const status = statusOf(await ask(lines(`GET ${path} HTTP/1.1`, "Host: localhost")));
      expect([path, status]).toEqual([path, status === 400 ? 400 : 404]);
    }
  });

  it("nothing of the request comes back", async () => {
    for (const path of ["/<script>alert(1)</script>", "/explain/<script>", "/stats?filter=<script>", "/clusters?format=<script>"]) {
      const answer = await ask(lines(`GET ${path} HTTP/1.1`, "Host: localhost"));
      expect(answer).not.toContain("<script");
      expect(answer).toMatch(/\r\nx-content-type-options: nosniff\r\n/);
    }
  });

  it.each([
    ["an upgrade", lines("GET /config_dump HTTP/1.1", "Host: localhost", "Upgrade: h2c")],
    ["a body nobody asked for", `${post("Host: evil", "Content-Length: 5")}hello`],
    ["a body in two lengths", post("Host: localhost", AUTHORIZED, "Content-Length: 0", "Transfer-Encoding: chunked")],
    ["CONNECT", lines("CONNECT 127.0.0.1:80 HTTP/1.1", "Host: localhost")],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["a line end in a field", lines("GET /config_dump HTTP/1.1", "Host: localhost\nOrigin: http://evil.example")],
    ["NUL", lines("GET /config_dump HTTP/1.1", "Host: localhost\0.evil.example")],
    ["a head of 100 KB", lines("GET /config_dump HTTP/1.1", "Host: localhost", `X-A: ${"x".repeat(100_000)}`)],
    ["no HTTP", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"],
  ])("%s does no harm", async (_what, bytes) => {
    const socket = connect(ports.admin, "127.0.0.1");
    socket.setTimeout(500, () => socket.destroy());
    await exchange(socket, bytes);
    expect(changes).toEqual([]);
    expect(statusOf(await ask(lines("GET /ready HTTP/1.1", "Host: localhost")))).toBe(200);
  });
});

describe("who reads, with --admin-reads token (B30, CVE-2026-31838)", () => {
  const PATHS = ["/", "/config_dump", "/config/status", "/clusters", "/clusters?format=json", "/explain/x", "/certs", "/stats", "/stats/prometheus", "/server_info", "/ready", "/logging"];
  let guarded: AdminServers;
  let own: AdminPorts;

  beforeAll(async () => {
    guarded = new AdminServers(adminSources(), { token: TOKEN, reads: "token", socketPath: join(folder, "guarded"), allowsQuit: false });
    own = await guarded.listen({ admin: 0, status: 0, ready: 0, metrics: 0 });
  });
  afterAll(() => guarded.close());

  it.each(PATHS)("%s: whoever knows the token, or may open the socket, and nobody else", async (path) => {
    const get = (method: string, ...fields: readonly string[]): string => lines(`${method} ${path} HTTP/1.1`, "Host: localhost", ...fields);
    for (const method of ["GET", "HEAD"]) {
      for (const fields of [[], ["Authorization: Bearer x"], [`Authorization: Bearer ${TOKEN}x`], [`Cookie: token=${TOKEN}`]]) expect(statusOf(await ask(get(method, ...fields), connect(own.admin, "127.0.0.1")))).toBe(403);
    }
    expect(await ask(get("GET"), connect(own.admin, "127.0.0.1"))).toMatch(/\r\n\r\nthese pages need the token of --admin-token-file, as Authorization: Bearer TOKEN\n$/);
    // There is no such denial, which only those are told who may ask.
    const found = path === "/explain/x" ? 404 : 200;
    expect(statusOf(await ask(get("GET", AUTHORIZED), connect(own.admin, "127.0.0.1")))).toBe(found);
    expect(statusOf(await ask(get("GET"), connect(join(folder, "guarded"))))).toBe(found);
  });

  it("what the kubelet and Prometheus ask for needs none", async () => {
    const paths = [[own.ready, "/healthz/ready"], [own.status, "/healthz/ready"], [own.metrics, "/stats/prometheus"], [own.status, "/stats/prometheus"], [own.status, "/metrics"]] as const;
    for (const [port, path] of paths) expect(statusOf(await ask(lines(`GET ${path} HTTP/1.1`, "Host: pod"), connect(port, "127.0.0.1"))), path).toBe(200);
  });

  it("a page elsewhere does not with the token either", async () => {
    expect(statusOf(await ask(lines("GET /config_dump HTTP/1.1", "Host: evil.example", AUTHORIZED), connect(own.admin, "127.0.0.1")))).toBe(403);
  });
});

describe("what one peer can make it hold", () => {
  let made = 0;
  let crowded: AdminServers;
  let own: AdminPorts;
  const held: Socket[] = [];

  beforeAll(async () => {
    const metrics = async (): Promise<string> => {
      made++;
      return "x 1\n".repeat(1000);
    };
    crowded = new AdminServers(adminSources({ metrics }), { token: null, reads: "open", socketPath: null, allowsQuit: false });
    own = await crowded.listen({ admin: 0, status: 0, ready: 0, metrics: 0 });
  });
  afterAll(async () => {
    for (const socket of held) socket.destroy();
    await crowded.close();
  });

  /** Connected, and silent. */
  async function hold(port: number): Promise<void> {
    const socket = connect(port, "127.0.0.1");
    held.push(socket);
    socket.on("error", () => undefined);
    await once(socket, "connect");
  }

  it("connections that say nothing keep no probe out", async () => {
    for (let count = 0; count < 300; count++) await hold(own.ready);
    expect(statusOf(await ask(lines("GET /healthz/ready HTTP/1.1", "Host: pod"), connect(own.ready, "127.0.0.1")))).toBe(200);
    await eventually(() => held.filter((socket) => !socket.destroyed && !socket.readableEnded).length <= 64, "all but the newest are closed");
  });

  it("a thousand pages asked for in one packet are not made", async () => {
    await exchange(connect(own.metrics, "127.0.0.1"), "GET /stats/prometheus HTTP/1.1\r\nHost: pod\r\n\r\n".repeat(1000));
    expect(made).toBeLessThanOrEqual(1);
  });

  it("one page after the other on a connection is", async () => {
    const socket = connect(own.metrics, "127.0.0.1");
    const before = made;
    for (let count = 1; count <= 3; count++) {
      socket.write("GET /stats/prometheus HTTP/1.1\r\nHost: pod\r\n\r\n");
      for (let text = ""; !text.endsWith("x 1\n".repeat(1000));) text += String((await once(socket, "data"))[0]);
      expect(made - before).toBe(count);
    }
    socket.destroy();
  });
});
