import { spawn, spawnSync } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";
import { Connector } from "../../src/upstream/connector.ts";
import type { UpstreamFacts } from "../../src/upstream/connector.ts";
import type { ProxyError } from "../../src/message/proxy-error.ts";
import { TlsTestServer } from "../unit/connection/tls-peer.ts";
import { idOf, identityOf, newCa } from "../unit/identity/test-mesh.ts";

/*
 * Our TLS against OpenSSL's own programs: another implementation's order of ciphers and groups, its alerts, and the
 * things Node's client cannot be made to do (renegotiate at will, send early data).
 */
const isThere = spawnSync("openssl", ["version"]).status === 0;
if (!isThere) process.stdout.write("skipped: openssl is not on the PATH\n");

const ca = newCa();
let directory: string;
const children: ChildProcessWithoutNullStreams[] = [];
const sockets: Socket[] = [];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "outrider-openssl-"));
  const issued = ca.issue(idOf("peer"));
  writeFileSync(join(directory, "chain.pem"), issued.certificateChainPem);
  writeFileSync(join(directory, "key.pem"), issued.privateKeyPem, { mode: 0o600 });
  writeFileSync(join(directory, "root.pem"), issued.rootPem);
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

afterAll(() => rmSync(directory, { recursive: true }));

interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  /** Resolves once the output so far matches; rejects when the program ended without it. */
  readonly seen: (pattern: RegExp) => Promise<string>;
}

function openssl(...args: string[]): Running {
  const child = spawn("openssl", args, { cwd: directory });
  children.push(child);
  child.stdin.on("error", () => undefined);
  let output = "";
  const watchers = new Set<() => void>();
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("latin1");
    for (const watcher of watchers) watcher();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  let hasEnded = false;
  child.on("close", () => {
    hasEnded = true;
    for (const watcher of watchers) watcher();
  });
  const seen = (pattern: RegExp): Promise<string> => new Promise((resolve, reject) => {
    const look = (): void => {
      if (pattern.test(output)) resolve(output);
      else if (hasEnded) reject(new Error(`openssl ended without ${String(pattern)}:\n${output}`));
      else return;
      watchers.delete(look);
    };
    watchers.add(look);
    look();
  });
  return { child, seen };
}

const OWN = ["-cert", "chain.pem", "-cert_chain", "chain.pem", "-key", "key.pem"];

describe.skipIf(!isThere)("openssl s_client against terminateTls", () => {
  let server: TlsTestServer;
  afterEach(() => server.close());

  async function client(...args: string[]): Promise<Running> {
    server = await TlsTestServer.listen(identityOf(ca, "server"));
    return openssl("s_client", "-connect", `127.0.0.1:${server.port}`, "-CAfile", "root.pem", "-servername", "reviews.default", ...args);
  }

  it.each([["-tls1_3", /TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256/], ["-tls1_2", /TLSv1\.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/]])(
    "agrees on ALPN and cipher with %s, shows a chain that verifies, and carries bytes", async (version, cipher) => {
      const { child, seen } = await client(version, ...OWN, "-alpn", "istio-http/1.1,istio,http/1.1");
      const { facts, socket } = await server.next();
      expect(facts).toMatchObject({ alpn: "http/1.1", serverName: "reviews.default", peer: { spiffeId: idOf("peer") } });
      const output = await seen(/Verify return code: 0 \(ok\)/);
      expect(output).toMatch(cipher);
      expect(output).toContain("ALPN protocol: http/1.1");
      socket?.on("data", (bytes: Buffer) => socket.write(`got ${String(bytes)}`));
      child.stdin.write("ping\n");
      await seen(/got ping/);
    });

  it("refuses a client without a certificate with an alert that says so", async () => {
    const { seen } = await client("-tls1_3");
    expect((await server.next()).refused?.reason).toBe("tls_peer_no_certificate");
    await seen(/certificate required/);
  });

  it.each(["-tls1_1", "-tls1"])("refuses %s", async (version) => {
    const { seen } = await client(version, ...OWN, "-cipher", "DEFAULT@SECLEVEL=0");
    expect((await server.next()).refused?.reason).toBe("tls_handshake_failed");
    await seen(/alert|no protocols|unsupported/i);
  });

  it("does not renegotiate", async () => {
    const { child, seen } = await client("-tls1_2", ...OWN);
    await server.next();
    await seen(/Verify return code/);
    child.stdin.write("R\n");
    await seen(/no renegotiation/i);
  });

  it("neither compresses nor takes early data", async () => {
    const { seen } = await client("-tls1_3", ...OWN);
    await server.next();
    const output = await seen(/Verify return code/);
    expect(output).toContain("Compression: NONE");
    expect(output).toContain("Early data was not sent");
    expect(output).not.toMatch(/Max Early Data: [1-9]/);
  });
});

describe.skipIf(!isThere)("Connector against openssl s_server", () => {
  async function serve(...args: string[]): Promise<{ port: number; running: Running }> {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, "close");
    const running = openssl("s_server", "-accept", `127.0.0.1:${port}`, "-CAfile", "root.pem", "-Verify", "3", "-verify_return_error", ...OWN, ...args);
    await running.seen(/ACCEPT/);
    return { port, running };
  }

  function dial(port: number, alpn: readonly string[] = []): Promise<{ error: ProxyError | null; facts: UpstreamFacts | null }> {
    const connector = new Connector({ identity: identityOf(ca, "caller"), timers: new TimerWheel(systemClock), trustDomains: () => ["cluster.local"] });
    const target = {
      address: "127.0.0.1", port, fromLoopbackSource: false, connectTimeoutMs: 5000, alpn,
      tls: { mode: "ISTIO_MUTUAL", serverName: "outbound_.80_.v1_.reviews.default.svc.cluster.local", expectedIdentities: [idOf("peer")] },
    } as const;
    return new Promise((resolve) => {
      connector.connect(target, (error, socket, facts) => {
        if (socket !== null) sockets.push(socket);
        resolve({ error, facts });
      });
    });
  }

  it.each(["-tls1_3", "-tls1_2"])("proves itself to a server that verifies, with %s", async (version) => {
    const { port, running } = await serve(version, "-alpn", "h2,http/1.1");
    const { error, facts } = await dial(port, ["istio", "h2"]);
    expect(error).toBeNull();
    expect(facts).toMatchObject({ peerSpiffeId: idOf("peer"), alpn: "h2" });
    const output = await running.seen(/Client certificate/);
    expect(output).toContain("verify return:1");
  });

  it("refuses a server that only speaks TLS 1.1", async () => {
    const { port } = await serve("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0");
    expect((await dial(port)).error?.code).toBe("tls_failure");
  });
});
