import { toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { Authorizer } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";

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
  readonly #authorizer: () => Authorizer;
  readonly #facts: (request: FilterRequest) => AuthorizationFacts;
  readonly #providers: ExternalAuthorizers;

  constructor(authorizer: () => Authorizer, facts: (request: FilterRequest) => AuthorizationFacts, providers: ExternalAuthorizers) {
    this.#authorizer = authorizer;
    this.#facts = facts;
    this.#providers = providers;
  }

  check(request: FilterRequest): Verdict {
    const authorizer = this.#authorizer();
    if (!authorizer.hasCustom) return undefined;
    const custom = authorizer.custom(this.#facts(request));
    if (custom === null) return undefined;
    const provider = this.#providers(custom.provider ?? "");
    return provider === null ? toLocalReply(new ProxyError("rbac_denied", custom.id)) : provider.check(request);
  }
}
