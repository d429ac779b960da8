import type { Explanation } from "./explanation.ts";
import { isLoggedHeader } from "./replay-line.ts";
import type { LoggedOutcome } from "./replay-line.ts";

/** Headers whose values are drawn anew for every request. */
const VOLATILE = /^(?:x-request-id|traceparent|tracestate|b3|x-b3-.*|x-envoy-peer-metadata(?:-id)?|x-envoy-expected-rq-timeout-ms|date)$/i;

/** Whether a configuration decides a request as the log says it was decided. */
export function agreesWithLog(logged: LoggedOutcome, explained: Explanation): boolean {
  const isThere = explained.clusters.some(({ name }) => name === logged.cluster);
  if (logged.verdict === "deny") return explained.verdict === "deny";
  if (logged.verdict === "reply") return explained.verdict === "reply" && explained.status === logged.status;
  if (!isThere) return false;
  if (logged.details?.includes("tls_refused") === true) return explained.clusters.some(({ refusal }) => refusal !== undefined);
  // Whether an endpoint is well is no decision of the configuration.
  if (logged.hadNoEndpoint) return explained.verdict === "route" || explained.flag === "UH";
  return explained.verdict === "route" && (explained.protocol === "tcp" || (explained.route?.name ?? "") === (logged.routeName ?? ""));
}

/** What two configurations make different of a request: names of parts, none when they decide it alike. */
export function changesBetween(was: Explanation, now: Explanation): string[] {
  const changes: string[] = [];
  const add = (name: string, before: unknown, after: unknown): void => {
    if (JSON.stringify(before) !== JSON.stringify(after)) changes.push(name);
  };
  add("verdict", was.verdict, now.verdict);
  add("status", was.status, now.status);
  add("clusters", shares(was), shares(now));
  add("method", was.request?.method, now.request?.method);
  add("authority", was.request?.authority, now.request?.authority);
  add("path", was.request?.path, now.request?.path);
  if (was.verdict === now.verdict) {
    add("headers", settledHeaders(was.request?.headers), settledHeaders(now.request?.headers));
    add("reply", [settledHeaders(was.reply?.headers), was.reply?.body], [settledHeaders(now.reply?.headers), now.reply?.body]);
    add("timeout", was.timeoutMs, now.timeoutMs);
    add("retries", was.retries, now.retries);
    add("mirrors", was.mirrors, now.mirrors);
  }
  return changes;
}

/**
 * A condition that kept a route or a policy from matching, on something no access log holds: a header, a token. Then
 * the log cannot tell what the request had. Null when there is none.
 */
export function unloggedCondition(explained: Explanation): string | null {
  for (const { isMatch, condition } of explained.tried) {
    if (!isMatch && condition !== null && isUnlogged(condition)) return condition;
  }
  for (const { nearMiss } of explained.filters) {
    const failed = nearMiss?.failed.find(({ condition }) => isUnlogged(condition));
    if (failed !== undefined) return failed.condition;
  }
  return null;
}

/**
 * Such a condition to which a difference from the log may be due: the route that the log names was asked and failed on
 * it, or it alone keeps the nearest policy from allowing.
 */
export function decisiveUnlogged(logged: LoggedOutcome, explained: Explanation): string | null {
  for (const { isMatch, condition, name } of explained.tried) {
    if (!isMatch && condition !== null && isUnlogged(condition) && name === (logged.routeName ?? "")) return condition;
  }
  for (const { nearMiss } of explained.filters) {
    const failed = nearMiss?.failed ?? [];
    if (logged.verdict !== "deny" && failed.length > 0 && failed.every(({ condition }) => isUnlogged(condition))) return failed[0]?.condition ?? null;
  }
  return null;
}

function isUnlogged(condition: string): boolean {
  const header = /(?:headers|withoutHeaders|without_headers)(?:\.|\[["']?)([^\]"']+)/i.exec(condition)?.[1];
  if (header !== undefined) return !isLoggedHeader(header.toLowerCase());
  return /request\.auth|requestPrincipals|jwt/i.test(condition);
}

/** Cluster names with their parts of the whole, in percent with two digits. */
function shares({ clusters }: Explanation): Readonly<Record<string, string>> {
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  const byName = new Map<string, number>();
  for (const { name, weight } of clusters) byName.set(name, (byName.get(name) ?? 0) + (total === 0 ? 0 : weight / total));
  return Object.fromEntries([...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, share]) => [name, `${Number((share * 100).toFixed(2))} %`]));
}

function settledHeaders(headers: readonly (readonly [string, string])[] | undefined): readonly (readonly [string, string])[] {
  return (headers ?? []).filter(([name]) => !VOLATILE.test(name));
}

/** A decision in a few words: `sent to A 90 %, B 10 %`, `denied`, `answered 404 (route_not_found)`. */
export function describeDecision(explained: Explanation): string {
  switch (explained.verdict) {
    case "deny":
      return "denied";
    case "reset":
      return "closed without an answer";
    case "reply":
      return `answered ${explained.status} (${explained.details})`;
    default: {
      const entries = Object.entries(shares(explained));
      return `sent to ${entries.length === 1 ? entries[0]?.[0] ?? "" : entries.map(([name, share]) => `${name} ${share}`).join(", ")}`;
    }
  }
}

/** The same of what the log says. */
export function describeOutcome({ verdict, cluster, status, details, routeName }: LoggedOutcome): string {
  if (verdict === "deny") return "denied";
  if (verdict === "reply") return `answered ${status} (${details})`;
  return `sent to ${cluster}${routeName === null || routeName === "default" ? "" : ` by route ${JSON.stringify(routeName)}`}`;
}
