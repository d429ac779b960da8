import type { Filter, FilterRequest, Verdict } from "../filter/filter-chain.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { ExplainedFilter } from "./explanation.ts";
import { writtenAt } from "./written-at.ts";

/** What is said of a gate's decision beside the decision. */
export type FilterAccount = Omit<ExplainedFilter, "name" | "verdict">;

/** Gives the reasons of a gate for a request that it has decided, null for one that is none of its business; by the gate's name. */
export type FilterAccounts = ReadonlyMap<string, (request: FilterRequest) => FilterAccount | null>;

/** Statuses by which a gate forbids, rather than answers. */
const FORBIDDING = new Set([401, 403]);
const UNWRITTEN = writtenAt(null);
const NOT_ASKED: FilterAccount = { ...UNWRITTEN, reason: "it has to ask somebody, and has not", nearMiss: null };

/** Keeps a record of what a gate decided, and why. */
export class RecordedFilter implements Filter {
  readonly name: string;
  readonly #filter: Filter;
  readonly #accounts: FilterAccounts;
  readonly #records: ExplainedFilter[];

  constructor(filter: Filter, accounts: FilterAccounts, records: ExplainedFilter[]) {
    this.name = filter.name;
    this.#filter = filter;
    this.#accounts = accounts;
    this.#records = records;
  }

  check(request: FilterRequest): Verdict {
    const verdict = this.#filter.check(request);
    if (verdict instanceof Promise) {
      // Whoever has to be asked is not asked for an explanation; nobody waits for what may still come of it.
      verdict.catch(() => {});
      this.#records.push({ name: this.name, verdict: "skipped", ...(this.#accounts.get(this.name)?.(request) ?? NOT_ASKED) });
      return undefined;
    }
    const outcome = verdict === undefined ? "pass" : FORBIDDING.has(verdict.status) ? "deny" : "reply";
    const account = this.#accounts.get(this.name);
    const said = account === undefined ? plainAccount(verdict) : account(request);
    if (said !== null) this.#records.push({ name: this.name, verdict: outcome, ...said });
    return verdict;
  }
}

/** Of a gate that has no reasons to give but its answer. */
function plainAccount(reply: LocalReply | undefined): FilterAccount {
  return { ...UNWRITTEN, reason: reply === undefined ? null : reply.details, nearMiss: null };
}
