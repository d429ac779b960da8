import { isSubsetOfHost, isWildcard } from "./host-name.ts";
import { compareText } from "./resource-order.ts";

/**
 * Things by host name, where names may be wildcards (spec/00 0.3), found without looking at every name: by hash for plain
 * names and the wildcards above them, by a search in the reversed names for what a wildcard covers.
 */
export class HostIndex<T> {
  readonly #byHost = new Map<string, T[]>();
  /** Every name backwards, sorted, so that names with one ending stand together; made when first asked for. */
  #reversed: readonly { readonly key: string; readonly host: string }[] | null = null;
  readonly #hasWildcards: boolean;

  /** @param entries host, as `qualifyHost` writes it, and what it stands for; the order within one host is kept. */
  constructor(entries: Iterable<readonly [host: string, value: T]>) {
    for (const [host, value] of entries) {
      const known = this.#byHost.get(host);
      if (known === undefined) this.#byHost.set(host, [value]);
      else known.push(value);
    }
    this.#hasWildcards = this.hosts.some(isWildcard);
  }

  /** Every name there is, each once. */
  get hosts(): readonly string[] {
    return [...this.#byHost.keys()];
  }

  /** What stands under exactly this name. */
  at(host: string): readonly T[] {
    return this.#byHost.get(host) ?? [];
  }

  /** What stands under this name or under a wildcard that covers it, the most specific first. */
  covering(host: string): T[] {
    const found = [...this.at(host)];
    if (!this.#hasWildcards) return found;
    for (let start = isWildcard(host) ? 1 : 0; start <= host.length; start++) {
      const pattern = `*${host.slice(start)}`;
      if (pattern !== host && isSubsetOfHost(host, pattern)) found.push(...this.at(pattern));
    }
    return found;
  }

  /** What stands under a name that `pattern` covers; for a plain name what stands under it. */
  within(pattern: string): T[] {
    if (!isWildcard(pattern)) return [...this.at(pattern)];
    const ending = reverse(pattern.slice(1));
    const found: T[] = [];
    // Most configurations ask for no wildcard.
    const reversed = this.#reversed ??= this.hosts.map((host) => ({ key: reverse(host), host })).toSorted((a, b) => compareText(a.key, b.key));
    for (let at = firstFrom(reversed, ending); at < reversed.length; at++) {
      const entry = reversed[at];
      if (entry === undefined || !entry.key.startsWith(ending)) break;
      if (isSubsetOfHost(entry.host, pattern)) found.push(...this.at(entry.host));
    }
    return found;
  }

  /** Whether any name and this one have a host in common. */
  overlaps(host: string): boolean {
    return this.within(host).length > 0 || this.covering(host).length > 0;
  }
}

/** Index of the first name that is not before `key`. */
function firstFrom(sorted: readonly { readonly key: string }[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.key ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function reverse(text: string): string {
  return text.split("").toReversed().join("");
}
