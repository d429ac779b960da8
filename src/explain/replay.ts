import type { Explainer } from "./explainer.ts";
import type { Explanation } from "./explanation.ts";
import { logLines } from "./log-lines.ts";
import { agreesWithLog, changesBetween, decisiveUnlogged, describeDecision, describeOutcome, unloggedCondition } from "./replay-comparison.ts";
import { readLogLine } from "./replay-line.ts";
import { ReplaySummary, responsibleRule } from "./replay-summary.ts";
import { policyOfDetails } from "./unlogged-denials.ts";

/** Whoever decides a logged request; may refuse it by throwing. */
export interface Decider extends Pick<Explainer, "explain"> {
  /** `unloggedDenials` of its configuration. */
  readonly unloggedDenials?: ReadonlyMap<string, string>;
}

/**
 * Decides the requests of a JSON access log again, with `against`, and tells which are decided otherwise: than by
 * `before` where it is given, else than the log says. Memory stays the same however long the log is. Never throws for
 * what is in the log; rejects when `log` fails.
 */
export async function replay(log: AsyncIterable<Uint8Array>, against: Decider, before: Decider | null): Promise<ReplaySummary> {
  const summary = new ReplaySummary();
  for await (const lines of logLines(log)) {
    for (const line of lines) {
      summary.totals.lines++;
      if (line === null) summary.skip("it is longer than any line of an access log");
      else if (line.trim() !== "") replayLine(line, against, before, summary);
    }
  }
  return summary;
}

function replayLine(line: string, against: Decider, before: Decider | null, summary: ReplaySummary): void {
  const logged = readLogLine(line);
  if (typeof logged === "string") return summary.skip(logged);
  let now: Explanation;
  let was: Explanation | null;
  try {
    now = against.explain(logged.request);
    was = before?.explain(logged.request) ?? null;
  } catch {
    // The proxy refused such a request before it was decided, or it is no line that we wrote.
    return summary.skip("it holds no request that can be decided");
  }
  const isSame = agreesWithLog(logged.outcome, now);
  if (was === null) {
    if (isSame) return summary.same();
    const policy = policyOfDetails(logged.outcome.details);
    const decisive = (policy === null ? null : against.unloggedDenials?.get(policy)) ?? decisiveUnlogged(logged.outcome, now);
    if (decisive !== null) return summary.skip(`it depends on ${decisive}, which the log does not hold`);
    return summary.changed(logged, { was: describeOutcome(logged.outcome), now: describeDecision(now), parts: [], assuming: null }, responsibleRule(now, null));
  }
  const unlogged = unloggedCondition(now) ?? unloggedCondition(was);
  if (!agreesWithLog(logged.outcome, was)) {
    return summary.skip(unlogged === null ? "the old configuration does not decide it as the log says" : `it depends on ${unlogged}, which the log does not hold`);
  }
  const parts = changesBetween(was, now);
  if (parts.length === 0) return summary.same();
  summary.changed(logged, { was: describeDecision(was), now: describeDecision(now), parts, assuming: unlogged }, responsibleRule(now, was));
}
