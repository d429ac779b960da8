import { canonicalAddress, type IpAddress, parseIpAddress } from "../core/cidr.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import type { RequestHead } from "../message/head.ts";

/** Why a tunnel is not opened. */
export interface TunnelRefusal {
  readonly status: number;
  /** Stable name, also the metric's label. */
  readonly reason: "hbone_not_connect" | "hbone_bad_authority" | "hbone_foreign_address" | "hbone_own_port";
  /** A sentence for the operator. */
  readonly message: string;
}

const ADDRESS_AND_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/;

/**
 * Where an HBONE tunnel goes (`spec/02` 2.9): to a port of one of our own addresses, and nowhere else. The statuses are
 * ztunnel's: 404 for what is no CONNECT, 400 for a destination that is not ours to serve.
 *
 * @param ownAddresses - The pod's.
 * @param ownPorts - What this proxy listens on itself: a tunnel there would come back to us.
 */
export function tunnelDestination(head: RequestHead, ownAddresses: readonly string[], ownPorts: readonly number[]): SocketAddress | TunnelRefusal {
  if (head.method !== "CONNECT") return { status: 404, reason: "hbone_not_connect", message: `${head.method} instead of CONNECT` };
  const parts = ADDRESS_AND_PORT.exec(head.authority);
  const wanted = parts === null ? null : parseIpAddress(parts[1] ?? parts[2] ?? "");
  const port = Number(parts?.[3] ?? 0);
  if (wanted === null || port === 0 || port > 65_535) {
    return { status: 400, reason: "hbone_bad_authority", message: `CONNECT to ${head.authority}, which is no address with a port` };
  }
  const own = ownAddresses.find((address) => isSame(parseIpAddress(address), wanted));
  if (own === undefined) return { status: 400, reason: "hbone_foreign_address", message: `CONNECT to ${head.authority}, which is no address of this workload` };
  if (ownPorts.includes(port)) return { status: 400, reason: "hbone_own_port", message: `CONNECT to ${head.authority}, where the proxy itself listens` };
  return { address: canonicalAddress(own), port };
}

function isSame(one: IpAddress | null, other: IpAddress): boolean {
  return one !== null && one.isV4 === other.isV4 && one.words.every((word, index) => word === other.words[index]);
}
