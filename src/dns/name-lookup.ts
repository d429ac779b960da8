import type { NameAddresses, NameTable } from "../config/compile/name-table.ts";

/** What a name stands for. */
export interface NameMatch {
  readonly addresses: NameAddresses;
  /** The name itself when the one asked for is that name with the search domain appended; null otherwise. */
  readonly alias: string | null;
}

/**
 * Finds a name as Istio's agent does (spec/01 1.9): the name itself; the name with the first search domain appended,
 * which is what a client with `ndots:5` asks first; then the longest wildcard that covers it, in both forms. A wildcard
 * stands for names below it, not for its own domain.
 *
 * @param name lower-case, without final dot.
 * @param searchDomain first of resolv.conf; null without one.
 */
export function lookUpName(table: NameTable, name: string, searchDomain: string | null): NameMatch | null {
  const suffix = searchDomain === null ? null : `.${searchDomain}`;
  const short = suffix !== null && name.endsWith(suffix) ? name.slice(0, -suffix.length) : null;
  const exact = find(table, short, suffix, name);
  if (exact !== null) return exact;
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
    const found = find(table, short, suffix, `*${name.slice(dot)}`);
    if (found !== null) return found;
  }
  return null;
}

/** Looks for `key`, which is the name or a wildcard above it, and for what is left of it without the search domain. */
function find(table: NameTable, short: string | null, suffix: string | null, key: string): NameMatch | null {
  const own = table.get(key);
  if (own !== undefined) return { addresses: own, alias: null };
  if (short === null || suffix === null || !key.endsWith(suffix)) return null;
  const completed = table.get(key.slice(0, -suffix.length));
  return completed === undefined ? null : { addresses: completed, alias: short };
}
