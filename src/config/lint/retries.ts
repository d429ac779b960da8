import { parseRetryOn } from "../compile/retry-policy.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { HttpMatch, HttpRule } from "../kinds/virtual-service.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";
import { coversText, textCondition } from "./text-cover.ts";

/** Conditions that hold when the service may already have done what the request asked for (spec/03 3.6). */
const AFTER_EXECUTION: ReadonlySet<string> = new Set(["5xx", "gateway-error", "reset"]);
const POST = textCondition({ exact: "POST" });

/** What is doubtful about `retries` and `timeout` of HTTP rules. */
export function doubtfulRetries(model: LintModel): Finding[] {
  const findings: Finding[] = [];
  for (const resource of model.virtualServices) {
    resource.spec.http.forEach((rule, index) => findings.push(...ofRule(resource, rule, index)));
  }
  return findings;
}

function ofRule(resource: VirtualService, rule: HttpRule, index: number): Finding[] {
  const { retries } = rule;
  if (retries === undefined || retries.attempts <= 0 || rule.route.length === 0) return [];
  const findings: Finding[] = [];
  const repeated = repeatsPost(rule);
  if (repeated !== null) findings.push({ lint: "retry-repeats-post", resource, path: ["spec", "http", index, "retries", "retryOn"], message: repeated });
  const cut = cutsRetries(rule);
  if (cut !== null) findings.push({ lint: "timeout-cuts-retries", resource, path: ["spec", "http", index, "timeout"], message: cut });
  return findings;
}

/** Retry conditions that its author wrote are obeyed for every method: a payment is then made twice. */
function repeatsPost(rule: HttpRule): string | null {
  const { conditions, statuses } = parseRetryOn(rule.retries?.retryOn ?? "");
  const dangerous = [...conditions.filter((condition) => AFTER_EXECUTION.has(condition)), ...statuses.filter((status) => status >= 500).map(String)];
  const takesPost = rule.match.length === 0 || rule.match.some(mayBePost);
  if (dangerous.length === 0 || !takesPost) return null;
  const verb = dangerous.length === 1 ? "repeats" : "repeat";
  return `${dangerous.join(", ")} ${verb} POST requests that may already have been executed; `
    + "give requests that may be repeated a rule of their own (match: method: GET), or write retryOn: connect-failure,refused-stream";
}

function mayBePost(match: HttpMatch): boolean {
  return match.method === undefined || coversText(textCondition(match.method), POST);
}

/** `timeout` is for all attempts together, `perTryTimeout` for each; `attempts` counts the repetitions (spec/03 3.5). */
function cutsRetries(rule: HttpRule): string | null {
  const { timeout, retries } = rule;
  const perTry = retries?.perTryTimeout;
  if (timeout === undefined || retries === undefined || perTry === undefined) return null;
  const whole = perTry * (retries.attempts + 1);
  if (timeout <= perTry) {
    return `${seconds(timeout)} is over before one attempt may take perTryTimeout ${seconds(perTry)}: no attempt that is slow is ever repeated; write at least ${seconds(whole)}, or a shorter perTryTimeout`;
  }
  if (timeout >= perTry * retries.attempts) return null;
  const room = Math.ceil(timeout / perTry);
  return `${seconds(timeout)} has room for ${room} of ${retries.attempts + 1} attempts of ${seconds(perTry)} each (perTryTimeout): the others are never made when attempts are slow; `
    + `write at least ${seconds(whole)}, or fewer attempts`;
}

function seconds(ms: number): string {
  return ms % 1000 === 0 || ms >= 10_000 ? `${ms / 1000}s` : `${ms}ms`;
}
