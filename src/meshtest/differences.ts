import type { Explanation, WrittenAt } from "../explain/explanation.ts";
import { clusterDifferences } from "./cluster-differences.ts";
import type { Expectation } from "./expectation.ts";
import { Findings, shown } from "./findings.ts";
import type { Difference } from "./findings.ts";
import { describeMatch, holds } from "./text-match.ts";

/** Everything in which a decision is not what was expected; only what is written is compared. */
export function differences(expect: Expectation, got: Explanation): Difference[] {
  const found = new Findings();
  found.same("verdict", expect.verdict, got.verdict);
  found.same("status", expect.status, got.status);
  found.same("flag", expect.flag, got.flag);
  found.text("details", expect.details, got.details);
  routeDifferences(expect, got, found);
  clusterDifferences(expect, got, found);
  found.same("method", expect.method, got.request?.method ?? null);
  found.text("authority", expect.authority, got.request?.authority ?? null);
  found.text("path", expect.path, got.request?.path ?? null);
  found.headers("headers", expect.headers, got.request?.headers ?? null, "nothing is sent upstream");
  if (expect.timeout !== undefined) found.compare("timeout", (expect.timeout ?? 0) === (got.timeoutMs ?? 0), limit(expect.timeout), limit(got.timeoutMs));
  retryDifferences(expect, got, found);
  denialDifferences(expect, got, found);
  for (const [name, verdict] of Object.entries(expect.filters ?? {})) {
    const filters = got.filters.filter((filter) => filter.name === name);
    found.compareAt(["filters", name], filters.some((filter) => filter.verdict === verdict), verdict, filters.map((filter) => filter.verdict).join(", ") || "it was not asked");
  }
  if (expect.asks !== undefined) {
    const asked = got.filters.find((filter) => filter.provider !== undefined)?.provider ?? null;
    found.compare("asks", asked === expect.asks, expect.asks ?? "nobody is asked", asked ?? "nobody is asked");
  }
  found.text("body", expect.body, got.reply?.body ?? null);
  found.headers("replyHeaders", expect.replyHeaders, got.reply?.headers ?? null, "the proxy does not answer by itself");
  return found.all;
}

function routeDifferences({ route: wanted }: Expectation, { route }: Explanation, found: Findings): void {
  if (wanted === undefined) return;
  const got = route === null ? "no route" : describePlace(route);
  if (wanted === null) return found.compare("route", route === null || route.resource === null, "no rule of a resource", got);
  if (typeof wanted === "string") return found.compare("route", route?.resource === wanted, wanted, got);
  const { file, ...exact } = wanted;
  for (const [key, value] of Object.entries(exact)) {
    if (value === undefined) continue;
    const actual = route?.[key as keyof typeof exact] ?? null;
    found.compareAt(["route", key], actual === value, shown(value), route === null ? "no route" : key === "resource" ? got : `${shown(actual)} (${got})`);
  }
  if (file !== undefined) found.compareAt(["route", "file"], route?.file === file || (route?.file ?? "").endsWith(`/${file}`), file, got);
}

function retryDifferences({ retries: wanted }: Expectation, { retries }: Explanation, found: Findings): void {
  if (wanted === undefined) return;
  const attempts = retries?.attempts ?? 0;
  if (wanted === null || typeof wanted === "number") return found.compare("retries", attempts === (wanted ?? 0), count(wanted ?? 0), count(attempts));
  if (wanted.attempts !== undefined) found.compareAt(["retries", "attempts"], attempts === wanted.attempts, String(wanted.attempts), String(attempts));
  if (wanted.perTryTimeout !== undefined) {
    found.compareAt(["retries", "perTryTimeout"], (retries?.perTryTimeoutMs ?? 0) === wanted.perTryTimeout, limit(wanted.perTryTimeout), limit(retries?.perTryTimeoutMs ?? null));
  }
  if (wanted.retryOn === undefined) return;
  const conditions = new Set<string>([...retries?.retryOn ?? [], ...(retries?.retriableStatuses ?? []).map(String)]);
  // Istio's text form says only the statuses; the condition that goes with them is implied.
  if (!wanted.retryOn.includes("retriable-status-codes") && (retries?.retriableStatuses ?? []).length > 0) conditions.delete("retriable-status-codes");
  const isRight = new Set(wanted.retryOn).size === conditions.size && wanted.retryOn.every((condition) => conditions.has(condition));
  found.compareAt(["retries", "retryOn"], isRight, wanted.retryOn.join(", "), [...conditions].join(", ") || "nothing");
}

function denialDifferences({ deniedBy: wanted }: Expectation, { filters }: Explanation, found: Findings): void {
  if (wanted === undefined) return;
  const denial = filters.find(({ verdict }) => verdict === "deny");
  const got = denial === undefined ? "nothing denied it" : `${denial.name}, ${describePlace(denial)}${denial.reason === null ? "" : `: ${denial.reason}`}`;
  if (wanted === null) return found.compare("deniedBy", denial === undefined, "nothing denies it", got);
  if (typeof wanted === "string") return found.compare("deniedBy", denial !== undefined && (wanted === denial.resource || wanted === denial.name), wanted, got);
  const { filter, resource, rule, reason } = wanted;
  if (filter !== undefined) found.compareAt(["deniedBy", "filter"], denial?.name === filter, filter, got);
  if (resource !== undefined) found.compareAt(["deniedBy", "resource"], denial !== undefined && denial.resource === resource, resource ?? "no policy in particular", got);
  if (rule !== undefined) found.compareAt(["deniedBy", "rule"], denial !== undefined && denial.rule === rule, shown(rule), got);
  if (reason !== undefined) found.compareAt(["deniedBy", "reason"], holds(reason, denial?.reason ?? ""), describeMatch(reason), got);
}

function limit(milliseconds: number | null): string {
  return (milliseconds ?? 0) === 0 ? "none" : `${milliseconds}ms`;
}

function count(attempts: number): string {
  return attempts === 0 ? "none" : attempts === 1 ? "1 retry" : `${attempts} retries`;
}

/** `VirtualService shop/reviews, rule 0 (reviews.yaml:12)`. */
function describePlace({ resource, rule, file, line }: WrittenAt): string {
  if (resource === null) return "no resource in particular";
  const place = file === null ? "" : ` (${line === null ? file : `${file}:${line}`})`;
  return `${resource}${rule === null ? "" : `, rule ${rule}`}${place}`;
}
