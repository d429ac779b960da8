import { isSubsetOfHost, matchesHost } from "./host-name.ts";

/** One `namespace/dnsName` of a Sidecar's egress hosts. */
interface ImportedHost {
  readonly namespace: string;
  readonly host: string;
}

/** Which services and rules the `hosts` of a Sidecar egress entry let a workload see (spec/00 0.5). */
export class EgressHosts {
  readonly #imports: readonly ImportedHost[];
  readonly #excludes: readonly ImportedHost[];
  readonly #own: string;

  constructor(hosts: readonly string[], ownNamespace: string) {
    const parsed = hosts.map(parseHost);
    this.#own = ownNamespace;
    this.#imports = parsed.filter((entry) => !entry.namespace.startsWith("~"));
    // `~/*` imports nothing; `~prod/*` takes away what other entries import.
    this.#excludes = parsed.filter((entry) => entry.namespace.length > 1 && entry.namespace.startsWith("~"))
      .map((entry) => ({ ...entry, namespace: entry.namespace.slice(1) }));
  }

  /** Whether a service's host is imported. */
  importsService(namespace: string, host: string): boolean {
    const covers = (entry: ImportedHost): boolean => this.#isOf(entry, namespace) && isSubsetOfHost(host, entry.host);
    return this.#imports.some(covers) && !this.#excludes.some(covers);
  }

  /** Whether a VirtualService is: one of its hosts has something in common with an entry. */
  importsRule(namespace: string, hosts: readonly string[]): boolean {
    const covers = (entry: ImportedHost): boolean =>
      this.#isOf(entry, namespace) && hosts.some((host) => matchesHost(host, entry.host));
    const excludes = (entry: ImportedHost): boolean =>
      this.#isOf(entry, namespace) && hosts.every((host) => isSubsetOfHost(host, entry.host));
    return this.#imports.some(covers) && !this.#excludes.some(excludes);
  }

  #isOf(entry: ImportedHost, namespace: string): boolean {
    return entry.namespace === "*" || entry.namespace === namespace || (entry.namespace === "." && namespace === this.#own);
  }
}

function parseHost(text: string): ImportedHost {
  const slash = text.indexOf("/");
  if (slash < 0) return { namespace: "*", host: text.toLowerCase() };
  return { namespace: text.slice(0, slash), host: text.slice(slash + 1).toLowerCase() };
}
