import { toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { Authorizer } from "./rbac.ts";
import { AuthorizationFacts } from "./rbac-facts.ts";

/** AuthorizationPolicy as a gate for HTTP requests: 403 `RBAC: access denied`, with the deciding rule in the details. */
export class RbacFilter implements Filter {
  readonly name = "rbac";
  readonly #authorizer: () => Authorizer;

  /** `authorizer` gives the one of the snapshot in force: each request is judged by the policies of its own time. */
  constructor(authorizer: () => Authorizer) {
    this.#authorizer = authorizer;
  }

  check(request: FilterRequest): Verdict {
    const authorizer = this.#authorizer();
    if (authorizer.isOpen) return undefined;
    const verdict = authorizer.check(new AuthorizationFacts(request.connection, request.head));
    return verdict.isAllowed ? undefined : toLocalReply(new ProxyError("rbac_denied", verdict.id));
  }
}
