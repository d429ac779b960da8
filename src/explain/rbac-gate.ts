import type { FilterRequest, Verdict } from "../filter/filter-chain.ts";
import type { Authorizer } from "../filter/rbac.ts";
import { AuthorizationFacts } from "../filter/rbac-facts.ts";
import { RbacFilter } from "../filter/rbac-filter.ts";
import { accountOfVerdict } from "./explain-rbac.ts";
import type { ExplainableFilter, FilterAccount } from "./recorded-filter.ts";

/** The gate of AuthorizationPolicies, with its reasons. */
export class RbacGate implements ExplainableFilter {
  readonly name = "rbac";
  readonly #authorizer: Authorizer;
  readonly #filter: RbacFilter;
  readonly #requestPrincipal: string | null;

  /** `requestPrincipal`: `iss/sub` of a token that is taken as verified. */
  constructor(authorizer: Authorizer, requestPrincipal: string | null) {
    this.#authorizer = authorizer;
    this.#requestPrincipal = requestPrincipal;
    this.#filter = new RbacFilter(() => authorizer, (request) => this.#facts(request));
  }

  check(request: FilterRequest): Verdict {
    return this.#filter.check(request);
  }

  account(request: FilterRequest): FilterAccount {
    const facts = this.#facts(request);
    return accountOfVerdict(this.#authorizer, facts, this.#authorizer.check(facts));
  }

  #facts({ connection, head }: FilterRequest): AuthorizationFacts {
    return new AuthorizationFacts(connection, head, this.#requestPrincipal);
  }
}
