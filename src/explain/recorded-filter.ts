import type { Filter, FilterRequest, Verdict } from "../filter/filter-chain.ts";
import type { ExplainedFilter } from "./explanation.ts";

/** What a gate says of its decision beside making it. */
export type FilterAccount = Omit<ExplainedFilter, "name" | "verdict">;

/** A gate that can also be asked for its reasons. */
export interface ExplainableFilter extends Filter {
  /** Of a request it has decided. */
  account(request: FilterRequest): FilterAccount;
}

/** Statuses by which a gate forbids, rather than answers. */
const FORBIDDING = new Set([401, 403]);

/** Keeps a record of what a gate decided, and why. */
export class RecordedFilter implements Filter {
  readonly name: string;
  readonly #filter: ExplainableFilter;
  readonly #records: ExplainedFilter[];

  constructor(filter: ExplainableFilter, records: ExplainedFilter[]) {
    this.name = filter.name;
    this.#filter = filter;
    this.#records = records;
  }

  check(request: FilterRequest): Verdict {
    const verdict = this.#filter.check(request);
    const reply = verdict instanceof Promise ? undefined : verdict;
    const outcome = reply === undefined ? "pass" : FORBIDDING.has(reply.status) ? "deny" : "reply";
    this.#records.push({ name: this.name, verdict: outcome, ...this.#filter.account(request) });
    // Whoever has to be asked is not asked for an explanation.
    return reply;
  }
}
