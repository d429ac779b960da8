import { isIP } from "node:net";

import { parseIpAddress } from "../core/cidr.ts";
import type { SocketAddress } from "../message/connection-facts.ts";

/** What goes before the first byte of a connection, for a server that wants to know whose it is. */
export interface ProxyHeaderSpec {
  readonly version: "V1" | "V2";
  /** The connection that is carried on; null: ours, from end to end. */
  readonly origin: { readonly source: SocketAddress; readonly destination: SocketAddress } | null;
}

const V2_SIGNATURE = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]);
const V2_PROXY = 0x21;
const V2_LOCAL = 0x20;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;

/** The header of HAProxy's PROXY protocol, sections 2.1 and 2.2; addresses of two families cannot be said in it. */
export function proxyHeader(version: "V1" | "V2", source: SocketAddress, destination: SocketAddress): Buffer {
  const family = isIP(source.address) === isIP(destination.address) ? isIP(source.address) : 0;
  return version === "V1" ? textHeader(family, source, destination) : binaryHeader(family, source, destination);
}

function textHeader(family: number, source: SocketAddress, destination: SocketAddress): Buffer {
  const line = family === 0 ? "PROXY UNKNOWN\r\n"
    : `PROXY TCP${family} ${source.address} ${destination.address} ${source.port} ${destination.port}\r\n`;
  return Buffer.from(line, "latin1");
}

function binaryHeader(family: number, source: SocketAddress, destination: SocketAddress): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const addresses = family === 0 ? [] : [bytesOf(source.address), bytesOf(destination.address), ports];
  const length = addresses.reduce((sum, part) => sum + part.length, 0);
  const fixed = Buffer.from([family === 0 ? V2_LOCAL : V2_PROXY, family === 0 ? 0 : family === 4 ? V2_TCP4 : V2_TCP6, length >> 8, length & 0xff]);
  return Buffer.concat([V2_SIGNATURE, fixed, ...addresses]);
}

function bytesOf(address: string): Buffer {
  const bytes = Buffer.alloc(16);
  parseIpAddress(address)?.words.forEach((word, index) => bytes.writeUInt32BE(word >>> 0, index * 4));
  return isIP(address) === 4 ? bytes.subarray(12) : bytes;
}
