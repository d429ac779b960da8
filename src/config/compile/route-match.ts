import { asciiLowerCase } from "../../core/ascii.ts";
import type { StringMatchSpec } from "../../core/string-match.ts";
import type { StringMatch } from "../kinds/string-match.ts";
import type { HttpMatch } from "../kinds/virtual-service.ts";
import type { HeaderMatchSpec, RouteMatchSpec } from "../snapshot.ts";
import { compareText } from "./resource-order.ts";

/** Header keys that Istio ignores: the request line has conditions of its own. */
const REQUEST_LINE_KEYS: ReadonlySet<string> = new Set(["uri", "scheme", "method", "authority"]);

/** The condition that always holds. */
export const MATCH_ALL: RouteMatchSpec = {
  uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [],
};

/** The run-time conditions of one `match` block (spec/03 3.2). */
export function compileMatch(match: HttpMatch): RouteMatchSpec {
  return {
    uri: match.uri === undefined ? null : compileUri(match.uri, match.ignoreUriCase),
    method: optional(match.method),
    authority: optional(match.authority),
    scheme: optional(match.scheme),
    headers: compileHeaders(match.headers),
    withoutHeaders: compileHeaders(match.withoutHeaders),
    queryParams: entriesOf(match.queryParams).map(([name, value]) => ({ name, match: compileStringMatch(value) })),
  };
}

/** Whether the condition holds for every request, so that no later route can be reached. */
export function isUnconditional(match: RouteMatchSpec): boolean {
  const { uri } = match;
  const isAnyPath = uri === null
    || (uri.kind === "prefix" && (uri.value === "/" || uri.value === ""))
    || (uri.kind === "regex" && uri.value === ".*");
  return isAnyPath && match.method === null && match.authority === null && match.scheme === null
    && match.headers.length === 0 && match.withoutHeaders.length === 0 && match.queryParams.length === 0;
}

function compileHeaders(headers: Readonly<Record<string, StringMatch>> | undefined): HeaderMatchSpec[] {
  return entriesOf(headers)
    .map(([name, match]) => ({ name: name.toLowerCase(), match: compileStringMatch(match) }))
    .filter(({ name }) => !REQUEST_LINE_KEYS.has(name));
}

/** By name, so that the order of a mapping in the file changes nothing. */
function entriesOf(map: Readonly<Record<string, StringMatch>> | undefined): [string, StringMatch][] {
  return Object.entries(map ?? {}).toSorted(([a], [b]) => compareText(a, b));
}

/** `ignoreUriCase` is for exact and prefix only. An empty match is the implicit prefix `/`, which is no condition. */
function compileUri(match: StringMatch, ignoreCase: boolean): StringMatchSpec | null {
  const spec = compileStringMatch(match);
  if (spec.kind === "present") return null;
  if (!ignoreCase || spec.kind === "regex") return spec;
  return { kind: spec.kind, value: asciiLowerCase(spec.value), ignoreCase: true };
}

function optional(match: StringMatch | undefined): StringMatchSpec | null {
  return match === undefined ? null : compileStringMatch(match);
}

/** An empty match, and `regex: "*"`, which is Istio's old way of writing it, ask for presence. */
export function compileStringMatch(match: StringMatch): StringMatchSpec {
  if (match.exact !== undefined) return { kind: "exact", value: match.exact };
  if (match.prefix !== undefined) return { kind: "prefix", value: match.prefix };
  if (match.regex !== undefined && match.regex !== "*") return { kind: "regex", value: match.regex };
  return { kind: "present", value: "" };
}
