import { isFramingField } from "../../message/framing-fields.ts";
import { HeaderTemplate } from "../../message/header-template.ts";
import type { HttpMatch, HttpRule } from "../kinds/virtual-service.ts";
import type { Path } from "../resource.ts";
import type { ChangesSpec, HeaderOperationsSpec, HeaderValueSpec, PathRewriteSpec, RedirectSpec } from "../snapshot-route.ts";
import type { ProblemList } from "./problem-list.ts";
import type { RuleOrigin } from "./rule-origin.ts";
import { compareText } from "./resource-order.ts";

type HeaderRules = NonNullable<HttpRule["headers"]>;
type Side = "request" | "response";

/**
 * What a rule changes of the requests that one of its match blocks takes (spec/03 3.3); undefined where it changes nothing. With a
 * single destination, its changes are the rule's too, behind those of the rule itself.
 */
export function routeChanges(rule: HttpRule, match: HttpMatch | null, origin: RuleOrigin, problems: ProblemList): ChangesSpec | undefined {
  const path: Path = ["spec", "http", origin.index];
  const single = rule.route.length === 1 ? rule.route[0]?.headers : undefined;
  const sources: [HeaderRules | undefined, Path][] = [[rule.headers, [...path, "headers"]], [single, [...path, "route", 0, "headers"]]];
  return changes(sources, rule.rewrite?.authority ?? null, rewriteOf(rule.rewrite, match), origin, problems);
}

/** What one of several destinations changes. */
export function destinationChanges(rule: HttpRule, destination: number, origin: RuleOrigin, problems: ProblemList): ChangesSpec | undefined {
  const path: Path = ["spec", "http", origin.index, "route", destination, "headers"];
  return changes([[rule.route[destination]?.headers, path]], null, null, origin, problems);
}

/** A redirect as it is for the requests of one match block. */
export function redirectOf(redirect: NonNullable<HttpRule["redirect"]>, match: HttpMatch | null): RedirectSpec {
  const { uri, prefixRewrite, authority, scheme, port, derivePort, redirectCode } = redirect;
  const path: PathRewriteSpec | null = uri ? { kind: "whole", value: uri } : prefixRewrite ? prefixOf(match, prefixRewrite) : null;
  return {
    kind: "redirect",
    status: (redirectCode || 301) as RedirectSpec["status"],
    scheme: scheme ? (scheme as "http" | "https") : null,
    authority: authority || null,
    port: port ?? derivePort ?? null,
    path,
  };
}

function changes(sources: readonly [HeaderRules | undefined, Path][], authority: string | null, path: PathRewriteSpec | null, origin: RuleOrigin, problems: ProblemList): ChangesSpec | undefined {
  const request = operations(sources, "request", origin, problems);
  const response = operations(sources, "response", origin, problems);
  const host = authority || authorityOf(sources);
  if (request === null && response === null && path === null && host === null) return undefined;
  return { request, response, path, authority: host };
}

/** `set` and `add` of `:authority` or `host` rewrite the authority; of several, `set` of the rule goes first. */
function authorityOf(sources: readonly [HeaderRules | undefined, Path][]): string | null {
  const values = sources.flatMap(([rules]) => [rules?.request?.set, rules?.request?.add]);
  for (const map of values) {
    const name = Object.keys(map ?? {}).find(isAuthority);
    if (name !== undefined) return map?.[name] ?? null;
  }
  return null;
}

function isAuthority(name: string): boolean {
  const key = name.toLowerCase();
  return key === ":authority" || key === "host";
}

function operations(sources: readonly [HeaderRules | undefined, Path][], side: Side, origin: RuleOrigin, problems: ProblemList): HeaderOperationsSpec | null {
  const remove = sources.flatMap(([rules]) => rules?.[side]?.remove ?? []).map((name) => name.toLowerCase());
  const values = sources.flatMap(([rules, path]) =>
    [...valuesOf(rules?.[side]?.set, false, [...path, side, "set"], origin, problems), ...valuesOf(rules?.[side]?.add, true, [...path, side, "add"], origin, problems)]);
  return remove.length === 0 && values.length === 0 ? null : { remove, values };
}

/** By name, as Istio has them. A value that nobody can make is left out, and said. */
function valuesOf(map: Readonly<Record<string, string>> | undefined, isAppended: boolean, path: Path, { resource }: RuleOrigin, problems: ProblemList): HeaderValueSpec[] {
  return Object.entries(map ?? {}).toSorted(([a], [b]) => compareText(a, b)).flatMap(([name, value]) => {
    if (isAuthority(name)) return [];
    if (isFramingField(name.toLowerCase())) {
      problems.error(resource, [...path, name], "says where a message ends, or what becomes of its connection, which only its sender knows: this header is left as it is");
      return [];
    }
    try {
      HeaderTemplate.parse(value);
      return [{ name, value, isAppended }];
    } catch (error) {
      problems.error(resource, [...path, name], `${(error as Error).message}: this header is left as it is`);
      return [];
    }
  });
}

function rewriteOf(rewrite: HttpRule["rewrite"], match: HttpMatch | null): PathRewriteSpec | null {
  const regex = rewrite?.uriRegexRewrite;
  if (regex?.match !== undefined && regex.rewrite !== undefined) return { kind: "regex", regex: regex.match, value: regex.rewrite };
  return rewrite?.uri ? prefixOf(match, rewrite.uri) : null;
}

/** What stands in place of the part of the path that the match consumed; without a match of the path, of its first slash. */
function prefixOf(match: HttpMatch | null, value: string): PathRewriteSpec {
  const uri = match?.uri;
  if (uri === undefined) return { kind: "prefix", length: 1, value };
  return uri.prefix === undefined ? { kind: "whole", value } : { kind: "prefix", length: uri.prefix.length, value };
}
