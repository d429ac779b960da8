/*
 * Host names of services and rules, as Istio compares them (spec/00 0.3): plain, or with a `*` in front that stands for any
 * prefix. Comparison is by bytes; callers lower-case what a user wrote.
 */

/** The Kubernetes cluster's DNS domain, which completes short names. */
export const CLUSTER_DOMAIN = "cluster.local";

/** Whether the name begins with `*`. */
export function isWildcard(host: string): boolean {
  return host.startsWith("*");
}

/** Whether two names, each possibly a wildcard, have a host in common (Istio `host.Name.Matches`). */
export function matchesHost(a: string, b: string): boolean {
  if (isWildcard(a) && isWildcard(b)) {
    const [long, short] = a.length < b.length ? [b, a] : [a, b];
    return long.endsWith(short.slice(1));
  }
  if (isWildcard(a)) return b.endsWith(a.slice(1));
  if (isWildcard(b)) return a.endsWith(b.slice(1));
  return a === b;
}

/** Whether every host that `a` stands for is one that `b` stands for (Istio `host.Name.SubsetOf`). */
export function isSubsetOfHost(a: string, b: string): boolean {
  if (isWildcard(b)) return (isWildcard(a) ? a.length >= b.length : true) && a.endsWith(b.slice(1));
  return a === b;
}

/** Sort order: plain names before wildcards, longer before shorter, then by alphabet; negative when `a` is first. */
export function compareSpecificity(a: string, b: string): number {
  if (isWildcard(a) !== isWildcard(b)) return isWildcard(a) ? 1 : -1;
  if (a.length !== b.length) return b.length - a.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * The fully qualified form of a host written in a rule: a name without dot that is no wildcard is a Kubernetes service
 * of the rule's own namespace, never the client's (spec/03 3.1). The result is lower-case and has no trailing dot.
 */
export function qualifyHost(host: string, namespace: string): string {
  const lower = host.toLowerCase();
  const name = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  if (name === "" || isWildcard(name) || name.includes(".") || name.includes(":")) return name;
  return `${name}.${namespace}.svc.${CLUSTER_DOMAIN}`;
}
