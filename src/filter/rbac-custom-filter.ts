import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import { type AuthorizationGateParts, judged } from "./rbac-filter.ts";

/** Somebody outside who decides about requests: a provider of `meshConfig.extensionProviders`. */
export interface ExternalAuthorizer {
  /** Passes, answers in the proxy's name, or gives a promise of one of the two. */
  check(request: FilterRequest): Verdict;
}

/** By the name that CUSTOM policies give; null for one that cannot be asked. */
export type ExternalAuthorizers = (provider: string) => ExternalAuthorizer | null;

/**
 * AuthorizationPolicies with action CUSTOM, before all others (`spec/05` 5.5): a request that one of their rules matches is
 * decided by the provider it names. Where nobody of that name can be asked, it is denied.
 */
export class CustomFilter implements Filter {
  readonly name = "ext-authz";
  readonly #parts: AuthorizationGateParts;
  readonly #providers: ExternalAuthorizers;

  constructor(parts: AuthorizationGateParts, providers: ExternalAuthorizers) {
    this.#parts = parts;
    this.#providers = providers;
  }

  check(request: FilterRequest): Verdict {
    const authorizer = this.#parts.authorizer();
    if (!authorizer.hasCustom) return undefined;
    const facts = this.#parts.facts(request);
    const custom = authorizer.custom(facts);
    if (custom === null) return undefined;
    const provider = this.#providers(custom.provider ?? "");
    return provider === null ? judged(authorizer, facts, custom, request, this.#parts.journal) : provider.check(request);
  }
}
