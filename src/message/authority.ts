import { asciiLowerCase } from "../core/ascii.ts";
import { parseIpAddress } from "../core/cidr.ts";
import type { SocketAddress } from "./connection-facts.ts";

/** A request's authority, taken apart. */
export interface Authority {
  /** Lower case, without port and trailing dot; an IPv6 address keeps its brackets. */
  readonly host: string;
  /** Null when none was sent. */
  readonly port: number | null;
}

/** A name of letters, digits, `-` and `_` between single dots, a dot at its end, a port of up to five digits. */
const HOST_AND_PORT = /^((?:[a-z0-9_-]+\.)*[a-z0-9_-]+)\.?(?::(\d{0,5}))?$/;
const BRACKETED_AND_PORT = /^(\[[0-9a-f:.]+\])(?::(\d{0,5}))?$/;
/** Longest host name (RFC 1035 section 2.3.4), with a dot at its end and a port. */
const MAX_AUTHORITY_LENGTH = 260;

/**
 * Takes an authority apart as policy and routing see it, so that `A.TEST`, `a.test.` and `a.test:0080` are `a.test` (hostile
 * rows B10, B11; CVE-2021-39155). Null for what is no host: escapes, user info, bytes above ASCII, a port above 65535. Other
 * spellings of an address (`127.1`, `0x7f.1`, `[::ffff:127.0.0.1]`) stay what they are, never an alias.
 */
export function normalizeAuthority(authority: string): Authority | null {
  if (authority.length > MAX_AUTHORITY_LENGTH) return null;
  const text = asciiLowerCase(authority);
  const isBracketed = text.startsWith("[");
  const parts = (isBracketed ? BRACKETED_AND_PORT : HOST_AND_PORT).exec(text);
  if (parts === null) return null;
  const host = parts[1] as string;
  if (isBracketed ? parseIpAddress(host.slice(1, -1)) === null : host.length > 253) return null;
  const port = parts[2] === undefined || parts[2] === "" ? null : Number(parts[2]);
  return port !== null && port > 65535 ? null : { host, port };
}

/** An address as an authority, an IPv6 address in brackets. */
export function authorityOfAddress({ address, port }: SocketAddress): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
