import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { HttpMatch } from "../kinds/virtual-service.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";
import { coversMatch, matchConditions } from "./match-cover.ts";
import { splitsSegment } from "./shadowed-route.ts";

/** Rules with a prefix that are compared with each other, at most. */
const MAX_RULES = 500;

interface Place {
  readonly match: HttpMatch;
  readonly rule: number;
  readonly at: number;
}

/**
 * `prefix: /foo` takes `/foobar` too (spec/10 10.3). Said only where a rule further down is for such a path, so that the
 * author had a segment in mind; where nothing at all is left for that rule it is a shadowed route, and told as one.
 */
export function prefixesWithoutSlash(model: LintModel): Finding[] {
  return model.virtualServices.flatMap(findIn);
}

function findIn(resource: VirtualService): Finding[] {
  const { http, gateways } = resource.spec;
  const places = http.slice(0, MAX_RULES).flatMap((rule, index) => rule.match.map((match, at): Place => ({ match, rule: index, at })));
  const findings: Finding[] = [];
  for (const { match, rule, at } of places) {
    const prefix = match.uri?.prefix;
    if (prefix === undefined || prefix.endsWith("/")) continue;
    const other = places.find((place) => place.rule > rule && splitsSegment(prefix, place.match.uri?.exact ?? place.match.uri?.prefix ?? "")
      && mayBothHold(match, place.match));
    if (other === undefined) continue;
    if (coversMatch(matchConditions(match, gateways), matchConditions(other.match, gateways))) continue;
    const path = other.match.uri?.exact ?? other.match.uri?.prefix ?? "";
    findings.push({
      lint: "prefix-without-slash", resource, path: ["spec", "http", rule, "match", at, "uri", "prefix"],
      message: `${JSON.stringify(prefix)} is no path segment: it takes requests to ${JSON.stringify(path)} from http[${other.rule}] at ${placeOf(resource, ["spec", "http", other.rule, "match", other.at])}; `
        + `write two matches, exact: ${prefix} and prefix: ${prefix}/`,
    });
  }
  return findings;
}

/** False where two blocks plainly ask for different things of the same field. */
function mayBothHold(a: HttpMatch, b: HttpMatch): boolean {
  const differ = (x: { exact?: string | undefined } | undefined, y: { exact?: string | undefined } | undefined): boolean =>
    x?.exact !== undefined && y?.exact !== undefined && x.exact !== y.exact;
  if (differ(a.method, b.method) || differ(a.authority, b.authority) || (a.port !== undefined && b.port !== undefined && a.port !== b.port)) return false;
  return Object.entries(a.headers ?? {}).every(([name, value]) => !differ(value, b.headers?.[name]));
}
