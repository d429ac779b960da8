import { PLAIN_KEYS, RATE_LIMIT_ANNOTATION, type RateLimitEntry, readRateLimits } from "../kinds/rate-limit-annotation.ts";
import type { Path, Resource } from "../resource.ts";
import { positionOf, resourceName } from "../resource.ts";
import type { RateLimitKeySpec, RateLimitSpec } from "../snapshot-route.ts";
import type { ProblemList } from "./problem-list.ts";
import { compileStringMatch } from "./route-match.ts";

/** The name by which `outrider check` can leave it out. */
export const BROKEN_RATE_LIMIT = "broken-rate-limit";
export const RATE_LIMIT_PATH: Path = ["metadata", "annotations", RATE_LIMIT_ANNOTATION];
const MILLION = 1_000_000;
const RESOURCE_EXHAUSTED = 8;

/** An entry of the annotation and the limit it stands for. */
export interface AnnotatedLimit {
  readonly entry: RateLimitEntry;
  readonly limit: RateLimitSpec;
}

/** Read once for each object, which lives as long as its file stays as it is; what is wrong is said for each compilation. */
const read = new WeakMap<Resource, ReturnType<typeof readRateLimits>>();

/**
 * The limits of an object's annotation `outrider.io/rate-limit`; none where it has none. One that cannot be read is a
 * problem, and then none of its limits is in force. `isInbound`: they hold where requests arrive.
 */
export function annotatedLimits(resource: Resource, isInbound: boolean, problems: ProblemList): readonly AnnotatedLimit[] {
  const entries = entriesOf(resource, isInbound);
  if (typeof entries !== "string") return entries.map((entry, index) => ({ entry, limit: limitOf(resource, entry, index) }));
  problems.error(resource, RATE_LIMIT_PATH, entries, BROKEN_RATE_LIMIT);
  return [];
}

/** What keeps the annotation of an object from being obeyed; null for one that is, or for none. */
export function rateLimitFault(resource: Resource, isInbound: boolean): string | null {
  const entries = entriesOf(resource, isInbound);
  return typeof entries === "string" ? entries : null;
}

function entriesOf(resource: Resource, isInbound: boolean): readonly RateLimitEntry[] | string {
  const { annotations } = resource.metadata;
  const text = Object.hasOwn(annotations, RATE_LIMIT_ANNOTATION) ? annotations[RATE_LIMIT_ANNOTATION] : undefined;
  if (text === undefined) return [];
  const entries = read.get(resource) ?? readRateLimits(text);
  read.set(resource, entries);
  const fault = "fault" in entries ? entries.fault : misplaced(entries, isInbound);
  return fault === null && !("fault" in entries) ? entries : `${fault}: requests are not limited`;
}

/** What does not go with the kind of the object. */
function misplaced(entries: readonly RateLimitEntry[], isInbound: boolean): string | null {
  for (const [index, { rule, port, by, when, name }] of entries.entries()) {
    if (isInbound && rule !== undefined) return `[${index}].rule: a Service has no rules`;
    if (!isInbound && port !== undefined) return `[${index}].port: is for a Service; a VirtualService's limits go with its rules`;
    const ofPeer = [...by, ...when].find(({ kind }) => kind === "principal" || kind === "namespace" || kind === "requestPrincipal");
    if (!isInbound && ofPeer !== undefined) return `[${index}]: ${ofPeer.kind} is that of a caller, and a VirtualService's limits hold at the caller; annotate the Service`;
    if (name !== undefined && entries.findIndex((other) => other.name === name) !== index) return `[${index}].name: another entry is called ${JSON.stringify(name)}`;
  }
  return null;
}

function limitOf(resource: Resource, entry: RateLimitEntry, index: number): RateLimitSpec {
  const { requests, per, burst, maxKeys, status, headers, dryRun } = entry;
  const bucket = { maxTokens: burst ?? requests, tokensPerFill: requests, fillIntervalMs: per };
  const keys = [...entry.when.map(({ kind, name, match }) => keyOf(kind, name, { match: compileStringMatch(match) })), ...entry.by.map(({ kind, name }) => keyOf(kind, name, { each: true }))];
  const { namespace, name } = resource.metadata;
  const own = `${resource.kind}/${namespace}/${name}/${entry.name ?? index}`;
  return {
    name: own,
    statName: own,
    place: { resource: resourceName(resource), rule: null, file: resource.file, line: positionOf(resource, RATE_LIMIT_PATH).line },
    enabledPerMillion: MILLION,
    enforcedPerMillion: dryRun ? 0 : MILLION,
    buckets: keys.length === 0 ? [] : [[{ keys, bucket, maxBuckets: maxKeys }]],
    total: keys.length === 0 ? bucket : null,
    alwaysTakesTotal: false,
    isPerConnection: false,
    status,
    grpcStatus: RESOURCE_EXHAUSTED,
    headers: headers ? "ratelimit" : "none",
    refusalHeaders: [],
    passedHeaders: [],
  };
}

/** Whoever leaves out what it is counted by does not go uncounted: all such share a bucket. */
function keyOf(kind: (typeof PLAIN_KEYS)[number] | "header" | "query", name: string, more: Partial<RateLimitKeySpec>): RateLimitKeySpec {
  return { kind, name, match: null, isInverted: false, takesAbsent: more.each === true, each: false, ...more };
}
