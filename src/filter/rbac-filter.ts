import { toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { Authorizer } from "./rbac.ts";
import { AuthorizationFacts } from "./rbac-facts.ts";

/** AuthorizationPolicy as a gate for HTTP requests: 403 `RBAC: access denied`, with the deciding rule in the details. */
export class RbacFilter implements Filter {
  readonly name = "rbac";
  readonly #authorizer: () => Authorizer;
  readonly #facts: (request: FilterRequest) => AuthorizationFacts;

  /**
   * `authorizer` gives the one of the snapshot in force: each request is judged by the policies of its own time. `facts`
   * is for whoever knows more of a request than what it carries.
   */
  constructor(authorizer: () => Authorizer, facts = factsOf) {
    this.#authorizer = authorizer;
    this.#facts = facts;
  }

  check(request: FilterRequest): Verdict {
    const authorizer = this.#authorizer();
    if (authorizer.isOpen) return undefined;
    const verdict = authorizer.check(this.#facts(request));
    return verdict.isAllowed ? undefined : toLocalReply(new ProxyError("rbac_denied", verdict.id));
  }
}

/** What a request carries, and what request authentication verified of it. */
export function factsOf({ connection, head, info }: FilterRequest): AuthorizationFacts {
  return new AuthorizationFacts(connection, head, info.token);
}
