import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

import { parseResolvConf } from "../src/core/resolv-conf.ts";

/** What the pod itself says about how it should be captured. */
export interface HostFacts {
  /** Addresses in the kernel's order, neither loopback nor link-local. */
  readonly addresses: readonly string[];
  /** Name servers of resolv.conf, in order. */
  readonly dnsServers: readonly string[];
  /** Number of the user `istio-proxy`; null when there is none. */
  readonly proxyUid: string | null;
}

/** Reads the facts of this host. What cannot be read counts as absent: a minimal image has no passwd. */
export function readHostFacts(): HostFacts {
  const addresses = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .filter((entry) => !entry.internal && !isLinkLocal(entry.address))
    .map((entry) => entry.address);
  return {
    addresses,
    dnsServers: parseDnsServers(readIfPresent("/etc/resolv.conf")),
    proxyUid: parseProxyUid(readIfPresent("/etc/passwd")),
  };
}

/** The `nameserver` lines of resolv.conf (resolv.conf(5)); a scoped IPv6 address is left out, no rule can match it. */
export function parseDnsServers(text: string): string[] {
  return parseResolvConf(text).nameServers.filter((server) => !server.includes("%"));
}

/** The user number of `istio-proxy` in passwd(5) text, or null. */
export function parseProxyUid(text: string): string | null {
  const line = text.split("\n").find((candidate) => candidate.startsWith("istio-proxy:"));
  const uid = line?.split(":")[2] ?? "";
  return /^\d+$/.test(uid) ? uid : null;
}

function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}

function readIfPresent(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
