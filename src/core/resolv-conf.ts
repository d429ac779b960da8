import { isIP } from "node:net";

/** What resolv.conf(5) says of whom to ask, and how short names are completed. */
export interface ResolvConf {
  /** Addresses of the name servers in order; IPv6 ones may have a zone (`fe80::1%eth0`). */
  readonly nameServers: readonly string[];
  /** Domains that are appended to short names, in order, lower-case and without final dot. */
  readonly searchDomains: readonly string[];
}

/** Reads the text of a resolv.conf; what cannot be understood is passed over, as the C library does. */
export function parseResolvConf(text: string): ResolvConf {
  const nameServers: string[] = [];
  let searchDomains: readonly string[] = [];
  for (const line of text.split("\n")) {
    // A comment may follow the values, whatever the manual says.
    const [keyword, ...values] = line.replace(/[#;].*/, "").trim().split(/\s+/);
    if (keyword === "nameserver" && values[0] !== undefined && isIP(values[0]) !== 0) nameServers.push(values[0]);
    // The last line of either kind counts.
    if (keyword === "search") searchDomains = values;
    if (keyword === "domain") searchDomains = values.slice(0, 1);
  }
  return { nameServers, searchDomains: searchDomains.map((domain) => domain.toLowerCase().replace(/\.$/, "")).filter((domain) => domain !== "") };
}
