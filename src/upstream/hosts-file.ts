import { isIPv4, isIPv6 } from "node:net";

import type { DnsFamily } from "../config/snapshot-cluster.ts";

/** The addresses that the text of a hosts file (hosts(5)) gives a name, which is lower case without final dot. */
export function addressesInHosts(text: string, name: string, family: DnsFamily): string[] {
  const found = new Set<string>();
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const isWanted = (family !== "v6" && isIPv4(address)) || (family !== "v4" && isIPv6(address) && !address.includes("%"));
    if (isWanted && names.some((own) => own.toLowerCase() === name)) found.add(address);
  }
  return [...found];
}
