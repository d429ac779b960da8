import { createRequire } from "node:module";
import type { Socket } from "node:net";

import type { SocketAddress } from "../message/connection-facts.ts";

/**
 * Where an accepted connection was going before the capture rules redirected it; null when the kernel does not know.
 * A connection made to the capture port itself comes back with that very address and port: the caller refuses it,
 * since forwarding it would loop (spec/01-capture 1.8).
 */
export type OriginalDestination = (socket: Socket) => SocketAddress | null;

/** Linux: getsockopt levels and the option netfilter answers, the same number for both families. */
const solIp = 0;
const solIpv6 = 41;
const soOriginalDst = 80;

/** sizeof(struct sockaddr_in) and sizeof(struct sockaddr_in6). */
const ipv4Bytes = 16;
const ipv6Bytes = 28;

type GetSockOpt = (fd: number, level: number, option: number, value: Uint8Array, length: Uint32Array) => number;

/** A TCP handle of libuv, as far as it concerns us. Node offers no public way to a socket's descriptor. */
interface WithHandle {
  readonly _handle?: { readonly fd?: number } | null;
}

/**
 * The lookup the kernel offers: `getsockopt(SO_ORIGINAL_DST)` on the accepted socket, about a microsecond. Works in
 * any thread. The native library is loaded here, once; throws an Error in one line when it cannot be.
 */
export function systemOriginalDestination(): OriginalDestination {
  const getSockOpt = loadGetSockOpt();
  const value = new Uint8Array(ipv6Bytes);
  const length = new Uint32Array(1);
  return (socket) => {
    const fd = (socket as Socket & WithHandle)._handle?.fd ?? -1;
    const local = socket.localAddress;
    if (fd < 0 || local === undefined) return null;
    // A dual-stack listener shows an IPv4 peer as ::ffff:a.b.c.d; netfilter knows that connection as IPv4.
    const isV4 = !local.includes(":") || local.startsWith("::ffff:");
    length[0] = isV4 ? ipv4Bytes : ipv6Bytes;
    if (getSockOpt(fd, isV4 ? solIp : solIpv6, soOriginalDst, value, length) !== 0) return null;
    return isV4 ? parseSockaddrIn(value) : parseSockaddrIn6(value);
  };
}

/** `struct sockaddr_in`: family, port and address, the last two in network order. */
export function parseSockaddrIn(bytes: Uint8Array): SocketAddress {
  return { address: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port: portOf(bytes) };
}

/** `struct sockaddr_in6`: family, port, flow label, address; the scope is left out, as in all our addresses. */
export function parseSockaddrIn6(bytes: Uint8Array): SocketAddress {
  const groups: number[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  const address = isMapped ? bytes.subarray(20, 24).join(".") : formatGroups(groups);
  return { address, port: portOf(bytes) };
}

function portOf(bytes: Uint8Array): number {
  return ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
}

/** RFC 5952 section 4: lower case, no leading zeros, the longest run of two or more zero groups as `::`. */
function formatGroups(groups: readonly number[]): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > bestLength) {
      bestStart = start;
      bestLength = end - start;
    }
    if (end > start) start = end;
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestStart < 0) return hex.join(":");
  return `${hex.slice(0, bestStart).join(":")}::${hex.slice(bestStart + bestLength).join(":")}`;
}

function loadGetSockOpt(): GetSockOpt {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const definition = "int getsockopt(int fd, int level, int option, void *value, void *length)";
    // Null names the process itself, which has the C library in it whatever its file is called.
    return koffi.load(null).func(definition) as unknown as GetSockOpt;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
    throw new Error(`cannot look up original destinations: koffi did not load (${reason})`, { cause: error });
  }
}
