import type { LookupAddress } from "node:dns";
import { isIP, type LookupFunction } from "node:net";

import { Cidr, parseIpAddress } from "../core/cidr.ts";

const UNLESS_ALLOWED = ", unless --jwks-allow names it";

/**
 * Where nothing is fetched from because a policy says so: this host itself, its link, whoever hands out credentials
 * to machines, and what is no single host. Whoever may write policies must not thereby read those (ISTIO-2026-003).
 */
const FORBIDDEN = blocks([
  "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
  // Metadata of clouds that is not link-local.
  "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128",
  "::/128", "::1/128", "fe80::/10", "ff00::/8",
  // IPv4 by other names: compatible, translated (RFC 6052) and 6to4 (RFC 3056).
  "::/96", "64:ff9b::127.0.0.0/104", "64:ff9b::169.254.0.0/112", "64:ff9b::/104", "2002:7f00::/24", "2002:a9fe::/32", "2002::/24",
]);

/** Thrown into a connection attempt to an address that nothing may be fetched from. */
export class ForbiddenAddress extends Error {}

/** Says which addresses may be connected to, and sees to it that no others are, whatever a name resolves to when. */
export class FetchGuard {
  readonly #allowed: readonly Cidr[];

  /** @param allowed blocks that are allowed though they are forbidden otherwise. @throws Error for one that is none. */
  constructor(allowed: readonly string[]) {
    this.#allowed = blocks(allowed);
  }

  allows(address: string): boolean {
    const ip = parseIpAddress(address);
    if (ip === null) return false;
    return this.#allowed.some((block) => block.contains(ip)) || !FORBIDDEN.some((block) => block.contains(ip));
  }

  /** @throws ForbiddenAddress for a host that is a forbidden address; a name is looked at when it is resolved. */
  checkLiteral(host: string): void {
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    if (isIP(bare) !== 0 && !this.allows(bare)) throw new ForbiddenAddress(`${bare} is not fetched from${UNLESS_ALLOWED}`);
  }

  /**
   * A lookup for the connection itself, so that what is checked is what is dialled: a name that answers differently the
   * second time (DNS rebinding) gains nothing. One forbidden address among several spoils the answer.
   */
  guarded(lookup: LookupFunction): LookupFunction {
    return (hostname, options, callback) => {
      lookup(hostname, options, (error, address, family) => {
        if (error !== null) return callback(error, address, family);
        const addresses: readonly LookupAddress[] = typeof address === "string" ? [{ address, family: family ?? 4 }] : address;
        const bad = addresses.find((candidate) => !this.allows(candidate.address));
        if (bad === undefined) return callback(null, address, family);
        callback(new ForbiddenAddress(`${hostname} is ${bad.address}, which is not fetched from${UNLESS_ALLOWED}`), "", 0);
      });
    };
  }
}

function blocks(texts: readonly string[]): Cidr[] {
  return texts.map((text) => {
    const block = Cidr.parse(text);
    if (block === null) throw new Error(`${JSON.stringify(text)} is not an address block`);
    return block;
  });
}
