import type { Filter, FilterRequest } from "./filter-chain.ts";
import type { Authorizer } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import { RbacFilter } from "./rbac-filter.ts";

/** What the gates of one direction need of their surroundings. */
export interface InboundFilterParts {
  /** Of the snapshot in force. */
  readonly authorizer: () => Authorizer;
  /** For whoever knows more of a request than what it carries; absent: what it carries. */
  readonly facts?: (request: FilterRequest) => AuthorizationFacts;
}

/** The gates a request passes that arrives for the application, in order; live traffic and `explain` have the same. */
export function inboundFilters({ authorizer, facts }: InboundFilterParts): Filter[] {
  return [new RbacFilter(authorizer, facts)];
}

/** The same for what the application sends. Authorization is the callee's: an application may try to call anybody. */
export function outboundFilters(): Filter[] {
  return [];
}
