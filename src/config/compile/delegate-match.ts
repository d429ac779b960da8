import type { StringMatch } from "../kinds/string-match.ts";
import type { HttpMatch } from "../kinds/virtual-service.ts";

type Matches = Readonly<Record<string, StringMatch>>;

/**
 * The `match` blocks of a delegate's rule under those of the root's rule (spec/03 3.11): every pair that agrees, merged.
 * Without blocks on one side, those of the other. Null where a block of the delegate agrees with none of the root's: the
 * whole rule of the delegate is then dropped.
 */
export function mergeMatches(root: readonly HttpMatch[], delegate: readonly HttpMatch[]): HttpMatch[] | null {
  if (root.length === 0 || delegate.length === 0) return [...root, ...delegate];
  const merged: HttpMatch[] = [];
  for (const leaf of delegate) {
    const fitting = root.filter((candidate) => matchConflict(candidate, leaf) === null);
    if (fitting.length === 0) return null;
    merged.push(...fitting.map((candidate) => mergeMatch(candidate, leaf)));
  }
  return merged;
}

/** The field in which a block of the root and one of a delegate contradict each other, or null. */
export function matchConflict(root: HttpMatch, leaf: HttpMatch): string | null {
  for (const field of ["uri", "scheme", "method", "authority"] as const) {
    if (isConflict(root[field], leaf[field])) return field;
  }
  for (const field of ["headers", "withoutHeaders", "queryParams"] as const) {
    const [above, below] = field === "queryParams" ? [root[field], leaf[field]] : [lowerKeys(root[field]), lowerKeys(leaf[field])];
    for (const [name, match] of Object.entries(below ?? {})) {
      if (isConflict(own(above, name), match)) return `${field}[${JSON.stringify(name)}]`;
    }
  }
  if (root.ignoreUriCase !== leaf.ignoreUriCase) return "ignoreUriCase";
  if (root.port !== undefined && leaf.port !== undefined && root.port !== leaf.port) return "port";
  return sourceConflict(root, leaf);
}

/** The conditions on who sends, and the gateways. */
function sourceConflict(root: HttpMatch, leaf: HttpMatch): string | null {
  const namespace = root.sourceNamespace ?? "";
  if (namespace !== "" && (leaf.sourceNamespace ?? "") !== "" && leaf.sourceNamespace !== namespace) return "sourceNamespace";
  for (const [name, value] of Object.entries(leaf.sourceLabels ?? {})) {
    const above = root.sourceLabels !== undefined && Object.hasOwn(root.sourceLabels, name) ? root.sourceLabels[name] : undefined;
    if (above !== undefined && above !== value) return "sourceLabels";
  }
  const isWithin = root.gateways.length === 0 || leaf.gateways.every((gateway) => root.gateways.includes(gateway));
  return isWithin ? null : "gateways";
}

/**
 * Whether the delegate's condition is not a part of the root's (Istio `stringMatchConflict`). Of a regular expression
 * nobody can tell what it is a part of, so it goes with nothing; neither does the mere presence that an empty match asks for.
 */
function isConflict(root: StringMatch | undefined, leaf: StringMatch | undefined): boolean {
  if (root === undefined || leaf === undefined) return false;
  if (root.regex || leaf.regex) return true;
  if (root.exact) return leaf.exact !== root.exact;
  if (!root.prefix) return true;
  const value = leaf.prefix || leaf.exact || "";
  return value === "" || !value.startsWith(root.prefix);
}

/** Field by field the delegate's, else the root's; mappings are united. */
function mergeMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  return {
    ...leaf,
    name: joinNames(root.name, leaf.name),
    uri: leaf.uri ?? root.uri,
    scheme: leaf.scheme ?? root.scheme,
    method: leaf.method ?? root.method,
    authority: leaf.authority ?? root.authority,
    headers: unite(lowerKeys(root.headers), lowerKeys(leaf.headers)),
    withoutHeaders: unite(lowerKeys(root.withoutHeaders), lowerKeys(leaf.withoutHeaders)),
    queryParams: unite(root.queryParams, leaf.queryParams),
    port: leaf.port ?? root.port,
    sourceLabels: unite(root.sourceLabels, leaf.sourceLabels),
    sourceNamespace: leaf.sourceNamespace || root.sourceNamespace,
    gateways: leaf.gateways.length > 0 ? leaf.gateways : root.gateways,
    statPrefix: leaf.statPrefix || root.statPrefix,
  };
}

/** `root-delegate`, or the one that is there. */
export function joinNames(root: string | undefined, delegate: string | undefined): string | undefined {
  return root && delegate ? `${root}-${delegate}` : delegate || root;
}

function unite<T>(root: Readonly<Record<string, T>> | undefined, leaf: Readonly<Record<string, T>> | undefined): Record<string, T> | undefined {
  return root === undefined && leaf === undefined ? undefined : { ...root, ...leaf };
}

/** Header names have no case: one header is one condition, however either side writes it. */
function lowerKeys(headers: Matches | undefined): Record<string, StringMatch> | undefined {
  return headers === undefined ? undefined : Object.fromEntries(Object.entries(headers).map(([name, match]) => [name.toLowerCase(), match]));
}

function own<T>(map: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return map !== undefined && Object.hasOwn(map, key) ? map[key] : undefined;
}
