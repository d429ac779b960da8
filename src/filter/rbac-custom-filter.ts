import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { Authorizer } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { type AuthorizationGateParts, judged, noted, withRecord } from "./rbac-filter.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** Told when a provider refuses a request. */
export interface RefusalNote {
  /** Remembers the refusal, with what the provider said, for whoever asks why; gives the reply that names the record. */
  refused(reply: LocalReply, said: string): LocalReply;
}

/** Somebody outside who decides about requests: a provider of `meshConfig.extensionProviders`. */
export interface ExternalAuthorizer {
  /** Passes, answers in the proxy's name, or gives a promise of one of the two. */
  check(request: FilterRequest, note: RefusalNote): Verdict;
}

/** Those that may be asked. */
export interface ExternalAuthorizers {
  /** By the name that CUSTOM policies give; null for one that cannot be asked. */
  find(provider: string): ExternalAuthorizer | null;
  /** No CUSTOM rule matched a request. */
  notAsked(): void;
}

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
    if (custom === null) {
      this.#providers.notAsked();
      return undefined;
    }
    const provider = this.#providers.find(custom.provider ?? "");
    if (provider === null) return judged(authorizer, facts, custom, request, this.#parts.journal);
    return provider.check(request, new Refusal(authorizer, facts, custom, request, this.#parts));
  }
}

/** One request that somebody is asked about, and the rule because of which. */
class Refusal implements RefusalNote {
  readonly #authorizer: Authorizer;
  readonly #facts: AuthorizationFacts;
  readonly #custom: AuthorizationVerdict;
  readonly #request: FilterRequest;
  readonly #parts: AuthorizationGateParts;

  constructor(authorizer: Authorizer, facts: AuthorizationFacts, custom: AuthorizationVerdict, request: FilterRequest, parts: AuthorizationGateParts) {
    this.#authorizer = authorizer;
    this.#facts = facts;
    this.#custom = custom;
    this.#request = request;
    this.#parts = parts;
  }

  refused(reply: LocalReply, said: string): LocalReply {
    return withRecord(reply, noted(this.#authorizer, this.#facts, this.#custom, this.#request, this.#parts.journal, said));
  }
}
