import { parseIpAddress } from "./cidr.ts";

/**
 * Whether a connection to an address ends at this host's own 127.0.0.1 or `::1`: so do those to the unspecified address, and to
 * IPv4 addresses written as IPv6. Others of 127.0.0.0/8 are interfaces of their own. False for what is no address.
 */
export function leadsToLoopback(address: string): boolean {
  const ip = parseIpAddress(address);
  if (ip === null) return false;
  const [first, second, third, last] = ip.words;
  if (ip.isV4) return last === 0x7f000001 || last === 0;
  return first === 0 && second === 0 && third === 0 && last <= 1;
}
