import { type AddressInfo, connect, createServer, Socket } from "node:net";

import { afterEach, describe, expect, it } from "vitest";

import { parseSockaddrIn, parseSockaddrIn6, systemOriginalDestination } from "../../../src/listener/original-destination.ts";

/** struct sockaddr_in6 with these 16-bit groups as address. */
function sockaddrIn6(port: number, ...groups: number[]): Uint8Array {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt16LE(10, 0);
  bytes.writeUInt16BE(port, 2);
  for (const [at, group] of groups.entries()) bytes.writeUInt16BE(group, 8 + 2 * at);
  bytes.writeUInt32LE(7, 24);
  return bytes;
}

describe("socket addresses of the kernel", () => {
  it("IPv4", () => {
    expect(parseSockaddrIn(Uint8Array.of(2, 0, 0x3a, 0x99, 10, 0, 200, 1, 0, 0, 0, 0, 0, 0, 0, 0))).toEqual({ address: "10.0.200.1", port: 15001 });
  });

  it.each([
    ["2001:db8::1", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]],
    ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
    ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
    ["fd00::", [0xfd00, 0, 0, 0, 0, 0, 0, 0]],
    ["1:2:3:4:5:6:7:8", [1, 2, 3, 4, 5, 6, 7, 8]],
    ["1:0:3:4:5:6:7:8", [1, 0, 3, 4, 5, 6, 7, 8]],
    ["1:0:0:4::8", [1, 0, 0, 4, 0, 0, 0, 8]],
    ["1::4:0:0:8", [1, 0, 0, 0, 4, 0, 0, 8]],
    ["1::4:0:0:7:8", [1, 0, 0, 4, 0, 0, 7, 8]],
    ["10.1.2.3", [0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203]],
  ])("IPv6 %s, spelt as RFC 5952 wants it", (address, groups) => {
    expect(parseSockaddrIn6(sockaddrIn6(443, ...groups))).toEqual({ address, port: 443 });
  });
});

describe.runIf(process.platform === "linux")("a connection nobody redirected", () => {
  const server = createServer();
  afterEach(() => server.close());

  it("has no original destination but its own", async () => {
    const originalDestination = systemOriginalDestination();
    const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const downstream = connect(port, "127.0.0.1").on("error", () => {});
    const socket = await accepted;
    // Null without connection tracking; with it, the address connected to.
    expect([null, { address: "127.0.0.1", port }]).toContainEqual(originalDestination(socket));
    socket.destroy();
    expect(originalDestination(socket)).toBeNull();
    downstream.destroy();
  });

  it("is not looked up for a socket that has no connection", () => {
    expect(systemOriginalDestination()(new Socket())).toBeNull();
  });
});
