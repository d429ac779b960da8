import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

import type { DnsFamily } from "../config/snapshot-cluster.ts";
import { parseResolvConf } from "../core/resolv-conf.ts";
import { addressesInHosts } from "./hosts-file.ts";

/**
 * What a lookup came to. `none`: the name servers say that there is no such address; `failed`: they could not be asked or
 * did not know, which says nothing of the name.
 */
export type LookupResult =
  | { readonly kind: "found"; readonly addresses: readonly string[]; readonly ttlMs: number }
  | { readonly kind: "none"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

/** Looks a host name up. Never rejects. */
export type AddressLookup = (name: string, family: DnsFamily) => Promise<LookupResult>;

export interface AddressLookupOptions {
  /** `address` or `address:port`, in order; absent: as the host is configured. */
  readonly nameServers?: readonly string[];
  readonly hostsFile?: string;
  readonly resolvConf?: string;
}

/** Of each name server; each is asked twice. */
const TIMEOUT_MS = 2_000;
const TRIES = 2;
/** How long an entry of the hosts file is good for: the file is read again then. */
const HOSTS_TTL_MS = 5_000;
/** What a host name may consist of (RFC 1123 section 2.1, with the underscore that names in use have); never a NUL or a look-alike dot. */
const HOST_NAME = /^(?=.{1,253}\.?$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/;

/**
 * Host names to addresses as the host itself would find them: the hosts file first, then the name servers. A name with a
 * dot is asked for as it stands before the search domains are tried; one without only below them. The queries are
 * asynchronous (c-ares on the event loop, no thread pool), and bounded in time.
 */
export function addressLookup(options: AddressLookupOptions = {}): AddressLookup {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (options.nameServers !== undefined) resolver.setServers(options.nameServers);
  const hostsFile = options.hostsFile ?? "/etc/hosts";
  const searchDomains = readText(options.resolvConf ?? "/etc/resolv.conf").then((text) => parseResolvConf(text).searchDomains);
  return async (name, family) => {
    const lower = name.toLowerCase();
    if (!HOST_NAME.test(lower)) return { kind: "none", reason: `${JSON.stringify(name)} is not a host name` };
    const listed = addressesInHosts(await readText(hostsFile), lower.replace(/\.$/, ""), family);
    if (listed.length > 0) return { kind: "found", addresses: listed, ttlMs: HOSTS_TTL_MS };
    return queryAll(resolver, candidates(lower, await searchDomains), family);
  };
}

/** The full names to ask for, in order. */
function candidates(name: string, searchDomains: readonly string[]): string[] {
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const completed = searchDomains.map((domain) => `${name}.${domain}`);
  return name.includes(".") || completed.length === 0 ? [name, ...completed] : [...completed, name];
}

/** The first candidate that exists. A name server that fails ends the search: the next candidate could be somebody else. */
async function queryAll(resolver: Resolver, names: readonly string[], family: DnsFamily): Promise<LookupResult> {
  let first: LookupResult | null = null;
  for (const name of names) {
    const result = await query(resolver, name, family);
    if (result.kind !== "none") return result;
    first ??= result;
  }
  return first ?? { kind: "none", reason: "no such name" };
}

async function query(resolver: Resolver, name: string, family: DnsFamily): Promise<LookupResult> {
  const asked = await Promise.allSettled([
    ...(family === "v6" ? [] : [resolver.resolve4(name, { ttl: true })]),
    ...(family === "v4" ? [] : [resolver.resolve6(name, { ttl: true })]),
  ]);
  const records = asked.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : [])).filter(({ address }) => isIP(address) !== 0);
  if (records.length > 0) {
    return { kind: "found", addresses: [...new Set(records.map(({ address }) => address))], ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1_000 };
  }
  const codes = asked.flatMap((answer) => (answer.status === "rejected" ? [codeOf(answer.reason)] : []));
  const failure = codes.find((code) => code !== "ENOTFOUND" && code !== "ENODATA");
  return failure === undefined
    ? { kind: "none", reason: `${name}: ${codes.includes("ENOTFOUND") ? "no such name" : "no address of this family"}` }
    : { kind: "failed", reason: `${name}: ${failure}` };
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** A file that is not there says nothing. */
async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "latin1");
  } catch {
    return "";
  }
}
