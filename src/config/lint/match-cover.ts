import { MESH_GATEWAY } from "../compile/virtual-service-index.ts";
import type { HttpMatch } from "../kinds/virtual-service.ts";
import { coversText, pathCondition, textCondition } from "./text-cover.ts";
import type { TextCondition } from "./text-cover.ts";

/** The conditions that a match block of any protocol may set on where a connection comes from. */
interface Origin {
  readonly port: number | null;
  readonly sourceLabels: Readonly<Record<string, string>>;
  readonly sourceNamespace: string;
  /** Never empty: those of the VirtualService where the block names none. */
  readonly gateways: readonly string[];
}

/** One `match` block of an HTTP rule, made ready to be compared with another. */
export interface MatchConditions {
  readonly uri: TextCondition;
  readonly method: TextCondition;
  readonly scheme: TextCondition;
  readonly authority: TextCondition;
  readonly headers: ReadonlyMap<string, TextCondition>;
  readonly withoutHeaders: ReadonlyMap<string, TextCondition>;
  readonly queryParams: ReadonlyMap<string, TextCondition>;
  readonly origin: Origin;
}

/** The block of a rule without `match`: it takes everything. */
const EVERYTHING: Partial<HttpMatch> = {};
/** Header keys that are ignored: the request line has conditions of its own. */
const REQUEST_LINE_KEYS: ReadonlySet<string> = new Set(["uri", "scheme", "method", "authority"]);

type TextMap = HttpMatch["headers"];

/** @param gateways those of the VirtualService. */
export function matchConditions(match: Partial<HttpMatch> = EVERYTHING, gateways: readonly string[] | undefined): MatchConditions {
  return {
    uri: pathCondition(match.uri, match.ignoreUriCase === true),
    method: textCondition(match.method),
    scheme: textCondition(match.scheme),
    authority: textCondition(match.authority),
    headers: headerConditions(match.headers),
    withoutHeaders: headerConditions(match.withoutHeaders),
    queryParams: new Map(Object.entries(match.queryParams ?? {}).map(([name, value]) => [name, textCondition(value)])),
    origin: originOf(match, gateways),
  };
}

export function originOf(
  match: { readonly [K in "port" | "sourceLabels" | "sourceNamespace" | "gateways"]?: HttpMatch[K] | undefined },
  gateways: readonly string[] | undefined,
): Origin {
  const own = match.gateways ?? [];
  return {
    port: match.port ?? null,
    sourceLabels: match.sourceLabels ?? {},
    sourceNamespace: match.sourceNamespace ?? "",
    gateways: own.length > 0 ? own : gateways ?? [MESH_GATEWAY],
  };
}

/** Whether `outer` takes every request that `inner` takes. False where that cannot be told. */
export function coversMatch(outer: MatchConditions, inner: MatchConditions): boolean {
  return coversText(outer.uri, inner.uri)
    && coversText(outer.method, inner.method)
    && coversText(outer.scheme, inner.scheme)
    && coversText(outer.authority, inner.authority)
    && coversMap(outer.headers, inner.headers)
    && coversMap(outer.queryParams, inner.queryParams)
    && coversAbsence(outer.withoutHeaders, inner.withoutHeaders)
    && coversOrigin(outer.origin, inner.origin);
}

/** Whether every connection from where `inner` wants it is from where `outer` wants it. */
export function coversOrigin(outer: Origin, inner: Origin): boolean {
  return (outer.port === null || outer.port === inner.port)
    && (outer.sourceNamespace === "" || outer.sourceNamespace === inner.sourceNamespace)
    && Object.entries(outer.sourceLabels).every(([key, value]) => Object.hasOwn(inner.sourceLabels, key) && inner.sourceLabels[key] === value)
    && inner.gateways.every((gateway) => outer.gateways.includes(gateway));
}

/** Names are compared without case, as HTTP does. */
function headerConditions(map: TextMap): Map<string, TextCondition> {
  const entries = Object.entries(map ?? {}).filter(([name]) => !REQUEST_LINE_KEYS.has(name));
  return new Map(entries.map(([name, value]) => [name.toLowerCase(), textCondition(value)]));
}

/** Each condition of `outer` follows from one of `inner` on the same name. */
function coversMap(outer: ReadonlyMap<string, TextCondition>, inner: ReadonlyMap<string, TextCondition>): boolean {
  for (const [name, condition] of outer) {
    const own = inner.get(name);
    if (own === undefined || !coversText(condition, own)) return false;
  }
  return true;
}

/**
 * Not to match something follows from not to match something that covers it. A header that is missing counts as empty,
 * so that a condition which the empty text fulfils does not follow from its absence.
 */
function coversAbsence(outer: ReadonlyMap<string, TextCondition>, inner: ReadonlyMap<string, TextCondition>): boolean {
  for (const [name, condition] of outer) {
    const own = inner.get(name);
    if (own === undefined || !coversText(own, condition)) return false;
    if (own.kind === "any" && condition.kind !== "any" && holdsForNothing(condition)) return false;
  }
  return true;
}

function holdsForNothing({ value, regex }: TextCondition): boolean {
  return regex === null ? value === "" : regex.matches("");
}
