import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { eventually, statusOf, testCa } from "../integration/proxy-under-test.ts";
import { alpnExtension, clientHello, extension, inRecords, sniExtension } from "../unit/connection/hello-bytes.ts";
import { HostileProxy } from "./hostile-proxy.ts";

const STRICT = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
`;
const REQUEST = "GET /inside HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
const caller = testCa.issue("spiffe://cluster.local/ns/default/sa/caller");

/** How often each reason for refusing a connection has been counted; the log names but the first few of a second. */
async function refusals(hostile: HostileProxy): Promise<Map<string, number>> {
  const counted = (await hostile.proxy.metrics()).matchAll(/^\w*refused\w*\{[^}]*reason="(\w+)"[^}]*\} (\d+)/gm);
  return new Map([...counted].map(([, reason, count]) => [reason as string, Number(count)]));
}

/** The one reason that `action` has the proxy refuse a connection for. */
async function reasonOf(hostile: HostileProxy, action: () => Promise<unknown>): Promise<string> {
  const before = await refusals(hostile);
  await action();
  let found: string[] = [];
  await eventually(async () => {
    found = [...await refusals(hostile)].flatMap(([reason, count]) => Array.from({ length: count - (before.get(reason) ?? 0) }, () => reason));
    return found.length > 0;
  }, "a refusal was counted");
  expect(found).toHaveLength(1);
  return found[0] as string;
}

/** Sends `pieces` one after the other, each read by the proxy before the next, and waits for the end. */
async function send(hostile: HostileProxy, pieces: readonly Buffer[]): Promise<Buffer> {
  const socket = hostile.connect("inbound");
  const received: Buffer[] = [];
  let isClosed = false;
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  socket.on("end", () => socket.end());
  socket.on("close", () => {
    isClosed = true;
  });
  socket.setNoDelay(true);
  for (const piece of pieces) {
    if (isClosed) break;
    await new Promise<void>((resolve) => {
      socket.write(piece, () => setImmediate(resolve));
    });
  }
  await eventually(() => isClosed, "the proxy closed");
  return Buffer.concat(received);
}

/** A request over real TLS whose bytes pass through `relay` on their way to the proxy. */
function askOverTls(hostile: HostileProxy, relay: (bytes: Buffer, to: Socket) => void, alpn = ["istio-http/1.1", "istio", "http/1.1"]): Promise<string> {
  return new Promise((resolve, reject) => {
    const raw = hostile.connect("inbound");
    raw.setNoDelay(true);
    const write = raw.write.bind(raw);
    const through = Object.assign(raw, {
      write: (bytes: Buffer | string, encoding?: unknown, done?: unknown) => {
        relay(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, "latin1"), { write } as unknown as Socket);
        const callback = typeof encoding === "function" ? encoding : done;
        if (typeof callback === "function") (callback as () => void)();
        return true;
      },
    });
    // A generic duplex, so that what TLS writes goes through `write` above and not into the descriptor.
    const { Duplex } = process.getBuiltinModule("node:stream");
    const duplex = new Duplex({
      read() {},
      write(chunk: Buffer, _encoding, callback) {
        through.write(chunk);
        callback();
      },
    });
    raw.on("data", (chunk: Buffer) => duplex.push(chunk));
    raw.on("end", () => duplex.push(null));
    raw.on("error", () => duplex.destroy());
    const tls = connectTls({
      socket: duplex, cert: caller.certificateChainPem, key: caller.privateKeyPem, rejectUnauthorized: false, ALPNProtocols: alpn,
      servername: "outbound_.9080_._.app.default.svc.cluster.local",
    });
    let received = "";
    tls.on("secureConnect", () => tls.write(REQUEST));
    tls.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
    });
    tls.on("end", () => resolve(received));
    tls.on("error", reject);
    tls.on("close", () => resolve(received));
  });
}

const byteByByte = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));

describe.each(["STRICT", "PERMISSIVE"])("A61 ClientHellos, %s", (mode) => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({ extraYaml: STRICT.replace("STRICT", mode) });
  });
  beforeEach(() => {
    hostile.backend.forget();
  });
  afterAll(() => hostile.stop());

  it("mesh TLS as it comes", async () => {
    const answer = await askOverTls(hostile, (bytes, to) => to.write(bytes));
    expect(statusOf(answer)).toBe(200);
    expect(hostile.backend.received).toContain("URI=spiffe://cluster.local/ns/default/sa/caller");
  });

  it("mesh TLS byte by byte", async () => {
    const answer = await askOverTls(hostile, (bytes, to) => {
      for (const byte of byteByByte(bytes)) to.write(byte);
    });
    expect(statusOf(answer)).toBe(200);
    expect(hostile.backend.received).toContain("GET /inside");
  });

  it("a hello cut into records of 100 bytes", async () => {
    let isFirst = true;
    const answer = await askOverTls(hostile, (bytes, to) => {
      to.write(isFirst ? inRecords(bytes.subarray(5), 100) : bytes);
      isFirst = false;
    });
    expect(statusOf(answer)).toBe(200);
  });

  /** What begins as TLS and is none is refused by name, and never read as plaintext. */
  const REFUSED: readonly (readonly [string, string, Buffer])[] = [
    ["a hello of more than 16 KiB", "tls_malformed_client_hello", inRecords(clientHello([extension(21, Buffer.alloc(17_000))]))],
    ["a record of more than 16 KiB", "tls_malformed_client_hello", Buffer.concat([Buffer.from([22, 3, 1, 0x50, 0]), Buffer.alloc(20_000, 1)])],
    ["an empty record", "tls_malformed_client_hello", Buffer.from([22, 3, 1, 0, 0, 22, 3, 1, 0, 4, 1, 0, 0, 0])],
    ["plaintext HTTP behind the first byte of a hello", "tls_malformed_client_hello", Buffer.concat([Buffer.from([22, 3, 1, 0, 60]), Buffer.from(REQUEST)])],
    ["a server name with NUL (B13)", "tls_malformed_client_hello", inRecords(clientHello([sniExtension("app\0.evil.test")]))],
    ["two server name extensions", "tls_malformed_client_hello", inRecords(clientHello([sniExtension("a.test"), sniExtension("b.test")]))],
    ["SSL 3.0", "tls_malformed_client_hello", Buffer.from(inRecords(clientHello([])).toString("latin1").replace("\x03\x03\x07", "\x03\x00\x07"), "latin1")],
  ];

  it.each(REFUSED)("%s", async (_what, reason, bytes) => {
    expect(await reasonOf(hostile, () => send(hostile, [bytes]))).toBe(reason);
    expect(hostile.backend.connections.filter((connection) => connection.received !== "")).toEqual([]);
  });

  it.each(REFUSED.slice(3, 6))("%s, byte by byte", async (_what, reason, bytes) => {
    expect(await reasonOf(hostile, () => send(hostile, byteByByte(bytes)))).toBe(reason);
    expect(hostile.backend.received).toBe("");
  });

  it.each([
    ["TLS 1.3 only, GREASE, ECH (CVE-2020-8660)", inRecords(clientHello([
      extension(0x0a0a, Buffer.alloc(0)), sniExtension("app.test"), alpnExtension("\x0a\x0a", "istio-http/1.1", "istio"),
      extension(0xfe0d, Buffer.alloc(200, 7)), extension(43, Buffer.from([2, 3, 4])), extension(0x1a1a, Buffer.from([0])),
    ]))],
    ["no extensions but Istio's ALPN", inRecords(clientHello([alpnExtension("istio")]), 7)],
  ])("%s: taken for mesh TLS, though no handshake comes of it", async (_what, bytes) => {
    // OpenSSL refuses the made-up key share; what counts is that the bytes went to it and nowhere else.
    expect(await reasonOf(hostile, () => send(hostile, [bytes]))).toMatch(/^tls_(?!malformed)/);
    expect(hostile.backend.received).toBe("");
  });

  it("SSLv2 hello is no TLS: refused where mTLS is required, bad HTTP elsewhere", async () => {
    const bytes = Buffer.from("802e0100020015000000100100800300800700c0060040020080040080000000000000000000000000000000000000", "hex");
    if (mode === "STRICT") expect(await reasonOf(hostile, () => send(hostile, [bytes]))).toBe("plaintext_on_strict_port");
    else expect(statusOf((await send(hostile, [bytes])).toString("latin1"))).toBe(400);
    expect(hostile.backend.received).toBe("");
  });

  it("TLS without an Istio name", async () => {
    const ask = (): Promise<string> => askOverTls(hostile, (bytes, to) => to.write(bytes), ["http/1.1"]).catch(() => "");
    if (mode === "STRICT") expect(statusOf(await ask())).toBe(200);
    else expect(await reasonOf(hostile, ask)).toBe("tls_without_mesh_alpn");
  });
});

describe("A62 plaintext to a STRICT port", () => {
  let hostile: HostileProxy;
  beforeAll(async () => {
    hostile = await HostileProxy.start({ extraYaml: STRICT });
  });
  afterAll(() => hostile.stop());

  it.each([
    ["HTTP", Buffer.from(REQUEST)],
    ["the HTTP/2 preface", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
    ["a MySQL login", Buffer.from("480000018da60f0000000001210000000000000000000000000000000000000000000000726f6f7400", "hex")],
    ["garbage", Buffer.from([0, 255, 1, 254, 10, 13])],
    ["almost TLS", Buffer.from([22, 2, 1, 0, 4, 1, 0, 0, 0])],
    ["a TLS record that is no handshake", Buffer.from([23, 3, 3, 0, 1, 0])],
  ])("%s: closed without a byte, named and counted", async (_what, bytes) => {
    hostile.backend.forget();
    let answer: Buffer = Buffer.alloc(1);
    expect(await reasonOf(hostile, async () => {
      answer = await send(hostile, [bytes]);
    })).toBe("plaintext_on_strict_port");
    expect(answer).toHaveLength(0);
    expect(hostile.backend.connections).toHaveLength(0);
  });
});
