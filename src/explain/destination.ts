import type { NameTable } from "../config/compile/name-table.ts";
import type { OutboundListenerSpec, Snapshot } from "../config/snapshot.ts";
import { canonicalAddress, parseIpAddress } from "../core/cidr.ts";
import { lookUpName } from "../dns/name-lookup.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import { InvalidExplainRequest } from "./explain-request.ts";

const LOOPBACK = "127.0.0.1";
const ANY = new Set(["0.0.0.0", "::"]);

/**
 * `HOST:PORT` taken apart; an address without the brackets. Port null where there is none.
 *
 * @param field what a message calls it.
 * @throws InvalidExplainRequest
 */
export function splitHostPort(text: string, field = "to"): { readonly host: string; readonly port: number | null } {
  const parts = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text);
  const port = parts?.[3] === undefined ? null : Number(parts[3]);
  if (parts === null || (port !== null && (port === 0 || port > 65_535))) {
    throw new InvalidExplainRequest(`${field}: must be HOST:PORT, ADDRESS:PORT or [ADDRESS]:PORT, not ${JSON.stringify(text)}`);
  }
  return { host: (parts[1] ?? parts[2] ?? "").toLowerCase().replace(/\.$/, ""), port };
}

/**
 * The address an application dials for a host: itself when it is one, that of the service called so (a short name in the
 * workload's own namespace works as its resolver would make it work), else the name, which no listener has, so that the
 * port alone decides.
 */
export function dialledAddress(host: string, names: NameTable | null): string {
  if (host === "localhost") return LOOPBACK;
  if (parseIpAddress(host) !== null) return canonicalAddress(host);
  const found = names === null ? null : (lookUpName(names, host, null)?.addresses ?? null);
  return found?.v4[0] ?? found?.v6[0] ?? host;
}

/** The listener with a socket of its own (`captureMode: NONE`) that takes connections to an address; null: none does. */
export function boundListener({ outbound, workload }: Snapshot, { address, port }: SocketAddress): OutboundListenerSpec | null {
  const isOwn = address === "::1" || address.startsWith("127.") || workload.addresses.includes(address);
  const takes = ({ bind }: OutboundListenerSpec): boolean =>
    bind !== null && bind.port === port && (bind.address === address || (isOwn && ANY.has(bind.address)));
  return outbound.listeners.find(takes) ?? null;
}
