import type { RouteSpec } from "../config/snapshot.ts";
import type { StringMatchSpec } from "../core/string-match.ts";
import type { FailedCondition } from "../router/route-match.ts";
import type { RouteExplanation } from "../router/route-table.ts";
import type { ExplainedRoute, TriedRoute } from "./explanation.ts";
import { writtenAt } from "./written-at.ts";

/** The route that took a request. */
export function explainedRoute({ name, action, provenance }: RouteSpec): ExplainedRoute {
  return { ...writtenAt(provenance), name, action: action.kind };
}

/** The routes that were asked, with what kept each from taking the request. */
export function triedRoutes({ tried }: RouteExplanation): TriedRoute[] {
  return tried.map(({ route, failed }) => ({
    ...writtenAt(route.provenance),
    name: route.name,
    isMatch: failed === null,
    reason: failed === null ? null : describeFailed(failed),
    condition: failed?.condition ?? null,
  }));
}

/** A failed condition in words: `path "/a" does not begin with "/b"`. */
export function describeFailed({ condition, wanted, got }: FailedCondition): string {
  const subject = subjectOf(condition);
  if (condition.startsWith("withoutHeaders.")) return got === null ? `${subject} is missing, which counts as empty and must not be` : `${subject} is there: ${quote(got)}`;
  if (got === null) return `${subject} is missing, it must ${wantedVerb(wanted)}`;
  return `${subject} ${quote(got)} does not ${wantedVerb(wanted)}`;
}

function subjectOf(condition: string): string {
  if (condition === "uri") return "path";
  const dot = condition.indexOf(".");
  if (dot < 0) return condition;
  const name = condition.slice(dot + 1);
  return condition.startsWith("queryParams.") ? `query parameter ${name}` : `header ${name}`;
}

function wantedVerb({ kind, value, ignoreCase }: StringMatchSpec): string {
  const how = ignoreCase === true ? " whatever its case" : "";
  switch (kind) {
    case "exact":
      return `equal ${quote(value)}${how}`;
    case "prefix":
      return `begin with ${quote(value)}${how}`;
    case "suffix":
      return `end with ${quote(value)}${how}`;
    case "regex":
      return `match the regex ${quote(value)}${how}`;
    case "present":
      return "be there";
  }
}

function quote(value: string): string {
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 97)}..."` : text;
}
