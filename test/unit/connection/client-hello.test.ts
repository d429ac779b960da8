import { describe, expect, it } from "vitest";

import { inspectClientHello } from "../../../src/connection/client-hello.ts";
import { clientHello, extension, inRecords, sniExtension, alpnExtension } from "./hello-bytes.ts";

const plain = clientHello([sniExtension("reviews.default.svc.cluster.local"), alpnExtension("istio-http/1.1", "istio", "http/1.1")]);
const HELLO = { kind: "hello", serverName: "reviews.default.svc.cluster.local", alpn: ["istio-http/1.1", "istio", "http/1.1"] };

function name(serverName: string): unknown {
  const seen = inspectClientHello(inRecords(clientHello([sniExtension(serverName)])));
  return seen.kind === "hello" ? seen.serverName : seen.kind;
}

describe("inspectClientHello", () => {
  it("reads server name and ALPN", () => {
    expect(inspectClientHello(inRecords(plain))).toEqual(HELLO);
    expect(inspectClientHello(inRecords(clientHello([])))).toEqual({ kind: "hello", serverName: null, alpn: [] });
    expect(inspectClientHello(inRecords(clientHello(null)))).toEqual({ kind: "hello", serverName: null, alpn: [] });
  });

  it("asks for more at every byte before the last, and never says it is not TLS", () => {
    for (const size of [plain.length, 100, 7]) {
      const bytes = inRecords(plain, size);
      for (let length = 0; length < bytes.length; length++) expect(inspectClientHello(bytes.subarray(0, length)).kind).toBe("incomplete");
      expect(inspectClientHello(bytes)).toEqual(HELLO);
    }
  });

  it("is not confused by what follows the hello", () => {
    expect(inspectClientHello(Buffer.concat([inRecords(plain), Buffer.from("anything")]))).toEqual(HELLO);
  });

  it("ignores GREASE, ECH and extensions nobody knows (RFC 8701)", () => {
    const hello = clientHello([extension(0x0a0a, Buffer.alloc(0)), sniExtension("a.b"), extension(0xfe0d, Buffer.alloc(200)), extension(0xfafa, Buffer.alloc(1)), alpnExtension("\x1a\x1a", "h2")]);
    expect(inspectClientHello(inRecords(hello))).toEqual({ kind: "hello", serverName: "a.b", alpn: ["\x1a\x1a", "h2"] });
  });

  it.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n")],
    ["an SSLv2 hello", Buffer.from([0x80, 0x2e, 0x01, 0x00, 0x02])],
    ["an alert", Buffer.from([21, 3, 3, 0, 2, 1, 0])],
    ["a byte that only looks like TLS at first", Buffer.from([22, 0x47, 0x45])],
  ])("says that %s is not TLS", (_, bytes) => {
    expect(inspectClientHello(bytes)).toEqual({ kind: "not-tls" });
  });

  it.each([
    ["STRICT.test", "strict.test"], ["strict.test.", "strict.test"], ["outbound_.80_.v1_.a.b", "outbound_.80_.v1_.a.b"], ["10.0.0.1", "10.0.0.1"],
    ["strict.test\0", "malformed"], ["strict\0.test", "malformed"], [".", "malformed"], ["a..b", "malformed"], ["a.b..", "malformed"], [".a", "malformed"], ["*.test", "malformed"],
    ["a b", "malformed"], ["::1", "malformed"], ["strict.t\xe9st", "malformed"], ["x".repeat(256), "malformed"], ["", "malformed"],
  ])("normalises the server name %j to %j or refuses it", (sent, seen) => {
    expect(name(sent)).toBe(seen);
  });

  const record = (body: Buffer, type = 22): Buffer => Buffer.concat([Buffer.from([type, 3, 1, body.length >> 8, body.length & 255]), body]);
  it.each<[string, Buffer]>([
    ["two server name extensions", inRecords(clientHello([sniExtension("a.b"), sniExtension("c.d")]))],
    ["two names in one extension", inRecords(clientHello([extension(0, Buffer.from([0, 8, 0, 0, 1, 97, 0, 0, 1, 98]))]))],
    ["a name of another type", inRecords(clientHello([extension(0, Buffer.from([0, 4, 1, 0, 1, 97]))]))],
    ["an empty ALPN name", inRecords(clientHello([extension(16, Buffer.from([0, 3, 0, 1, 97]))]))],
    ["an ALPN list longer than its extension", inRecords(clientHello([extension(16, Buffer.from([0, 9, 1, 97]))]))],
    ["a hello that ends early", inRecords(Buffer.from([1, 0, 0, 3, 3, 3, 0]))],
    ["another message first", record(Buffer.from([2, 0, 0, 1, 0]))],
    ["an alert after part of a hello", Buffer.concat([inRecords(plain.subarray(0, 20)), record(Buffer.from([1, 0]), 21)])],
    ["an empty record", record(Buffer.alloc(0))],
    ["a record of 17 KiB", Buffer.from([22, 3, 1, 0x44, 0])],
    ["a hello of 17 KiB", record(Buffer.from([1, 0, 0x44, 0]))],
    ["SSL 3.0", inRecords(Buffer.concat([plain.subarray(0, 4), Buffer.from([3, 0]), plain.subarray(6)]))],
    ["a hello in hundreds of records", inRecords(plain, 1)],
    ["trailing bytes", inRecords(withLength(Buffer.concat([plain, Buffer.from([0])])))],
  ])("refuses %s", (_, bytes) => {
    expect(inspectClientHello(bytes).kind).toBe("malformed");
  });

  it("never takes a hello back: an early refusal is the final one", () => {
    const bytes = inRecords(clientHello([sniExtension("a\0b")]));
    expect(inspectClientHello(bytes.subarray(0, -1)).kind).toBe("incomplete");
    expect(inspectClientHello(bytes).kind).toBe("malformed");
  });
});

/** Corrects the length of a message that was tampered with. */
function withLength(message: Buffer): Buffer {
  message.writeUIntBE(message.length - 4, 1, 3);
  return message;
}
