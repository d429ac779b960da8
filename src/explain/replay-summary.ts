import type { Explanation, WrittenAt } from "./explanation.ts";
import type { LoggedRequest } from "./replay-line.ts";

/** Rules, and kinds of change of each, that are told apart; what comes beyond is counted. */
const MAX_RULES = 500;
const MAX_CHANGES_PER_RULE = 50;
const MAX_REASONS = 100;

/** A request as an example for many. */
export interface ReplayExample {
  /** 1-based, of the log. */
  readonly line: number;
  readonly startTime: string | null;
  readonly requestId: string | null;
  readonly direction: string;
  readonly method: string;
  readonly url: string | null;
  readonly to: string | null;
  readonly from: string | null;
}

/** Requests decided otherwise in the same way. */
export interface ReplayChange {
  readonly was: string;
  readonly now: string;
  /** The parts that differ, when two configurations were compared. */
  readonly parts: readonly string[];
  /** What the decision also depends on and the log does not hold; null: nothing. */
  readonly assuming: string | null;
  count: number;
  readonly example: ReplayExample;
}

/** Changes that one rule is responsible for. */
export interface ReplayRule extends WrittenAt {
  /** `now`: the rule of the new configuration that decides; `was`: the rule that did and no longer does; `none`: neither has one. */
  readonly side: "now" | "was" | "none";
  count: number;
  /** Of `count`, those that are changed in further ways than `changes` tells. */
  untold: number;
  readonly changes: ReplayChange[];
}

/** A rule before anything is counted. */
export type RulePlace = Pick<ReplayRule, "resource" | "rule" | "file" | "line" | "side">;

export interface ReplayTotals {
  lines: number;
  replayed: number;
  same: number;
  changed: number;
  skipped: number;
}

/** What a replay found, in memory that does not grow with the log. */
export class ReplaySummary {
  readonly totals: ReplayTotals = { lines: 0, replayed: 0, same: 0, changed: 0, skipped: 0 };
  /** Changed requests of further rules than are told apart. */
  untold = 0;
  readonly #rules = new Map<string, ReplayRule>();
  readonly #changes = new Map<string, ReplayChange>();
  readonly #skipped = new Map<string, { count: number; readonly line: number }>();

  same(): void {
    this.totals.replayed++;
    this.totals.same++;
  }

  skip(reason: string): void {
    this.totals.skipped++;
    const known = this.#skipped.get(reason);
    if (known !== undefined) known.count++;
    else if (this.#skipped.size < MAX_REASONS) this.#skipped.set(reason, { count: 1, line: this.totals.lines });
  }

  changed(logged: LoggedRequest, change: Pick<ReplayChange, "was" | "now" | "parts" | "assuming">, rule: RulePlace): void {
    this.totals.replayed++;
    this.totals.changed++;
    const ruleKey = JSON.stringify([rule.resource, rule.rule, rule.file, rule.line, rule.side]);
    const key = JSON.stringify([ruleKey, change]);
    let group = this.#rules.get(ruleKey);
    if (group === undefined) {
      if (this.#rules.size >= MAX_RULES) return void this.untold++;
      group = { ...rule, count: 0, untold: 0, changes: [] };
      this.#rules.set(ruleKey, group);
    }
    group.count++;
    const known = this.#changes.get(key);
    if (known !== undefined) return void known.count++;
    if (group.changes.length >= MAX_CHANGES_PER_RULE) return void group.untold++;
    const added: ReplayChange = { ...change, count: 1, example: this.#example(logged) };
    this.#changes.set(key, added);
    group.changes.push(added);
  }

  /** Rules by the number of requests they change, and so their changes. */
  rules(): readonly ReplayRule[] {
    const byCount = <T extends { readonly count: number }>(a: T, b: T): number => b.count - a.count;
    return [...this.#rules.values()].sort(byCount).map((rule) => ({ ...rule, changes: rule.changes.toSorted(byCount) }));
  }

  /** Why lines could not be replayed, the most frequent reason first; `line` is the first of each. */
  skipped(): readonly { readonly reason: string; readonly count: number; readonly line: number }[] {
    return [...this.#skipped].map(([reason, { count, line }]) => ({ reason, count, line })).sort((a, b) => b.count - a.count);
  }

  #example({ request, startTime, requestId }: LoggedRequest): ReplayExample {
    const { direction, method, url, to, from } = request;
    return { line: this.totals.lines, startTime, requestId, direction, method, url, to, from };
  }
}

/** Which rule made a decision: of a denial the policy, or the nearest one that would have allowed; else the route's. */
export function responsibleRule(now: Explanation, was: Explanation | null): RulePlace {
  const decided = writtenRule(now);
  if (decided !== null) return { ...decided, side: "now" };
  const before = was === null ? null : writtenRule(was);
  return before === null ? { resource: null, rule: null, file: null, line: null, side: "none" } : { ...before, side: "was" };
}

function writtenRule({ verdict, filters, route }: Explanation): WrittenAt | null {
  const decisive = verdict === "deny" ? filters.find((filter) => filter.verdict === "deny") : route;
  const found = [decisive, route].find((place) => (place?.resource ?? null) !== null) ?? null;
  if (found === null) return null;
  const { resource, rule, file, line } = found;
  return { resource, rule, file, line };
}
