import { type LocalReply, toLocalReply } from "../message/local-reply.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { Authorizer } from "./rbac.ts";
import { AuthorizationFacts } from "./rbac-facts.ts";
import type { AuthorizationJournal } from "./rbac-journal.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

/** Tells whoever was denied under which id an operator finds out why, and nothing else. */
const RECORD_HEADER = "x-outrider-authz";

/** What the gates of authorization are made of. */
export interface AuthorizationGateParts {
  /** Of the snapshot in force: each request is judged by the policies of its own time. */
  readonly authorizer: () => Authorizer;
  /** For whoever knows more of a request than what it carries. */
  readonly facts: (request: FilterRequest) => AuthorizationFacts;
  /** Null: nobody is told of decisions, for whoever explains. */
  readonly journal: AuthorizationJournal | null;
}

/** AuthorizationPolicy as a gate for HTTP requests: 403 `RBAC: access denied`, with the deciding rule in the details. */
export class RbacFilter implements Filter {
  readonly name = "rbac";
  readonly #parts: AuthorizationGateParts;

  constructor(parts: AuthorizationGateParts) {
    this.#parts = parts;
  }

  check(request: FilterRequest): Verdict {
    const authorizer = this.#parts.authorizer();
    if (authorizer.isOpen) return undefined;
    const facts = this.#parts.facts(request);
    const verdict = authorizer.check(facts);
    return judged(authorizer, facts, verdict, request, this.#parts.journal);
  }
}

/** Notes a verdict, and gives the answer to a request that is denied. */
export function judged(
  authorizer: Authorizer,
  facts: AuthorizationFacts,
  verdict: AuthorizationVerdict,
  request: FilterRequest,
  journal: AuthorizationJournal | null,
): LocalReply | undefined {
  const recordId = noted(authorizer, facts, verdict, request, journal, null);
  return verdict.isAllowed ? undefined : withRecord(toLocalReply(new ProxyError("rbac_denied", verdict.id)), recordId);
}

/** Notes a verdict, with what an external authorizer said where one did; gives the id of its record, null where there is none. */
export function noted(
  authorizer: Authorizer,
  facts: AuthorizationFacts,
  verdict: AuthorizationVerdict,
  request: FilterRequest,
  journal: AuthorizationJournal | null,
  said: string | null,
): string | null {
  const note = journal === null ? null : journal.decided(authorizer, facts, verdict, said);
  if (note !== null) request.info.authorization = note;
  return note?.recordId ?? null;
}

/** Tells whoever was denied under which id an operator finds out why. */
export function withRecord(reply: LocalReply, recordId: string | null): LocalReply {
  return recordId === null ? reply : { ...reply, headers: [...reply.headers, [RECORD_HEADER, `deny; id=${recordId}`]] };
}

/** What a request carries, and what request authentication verified of it. */
export function factsOf({ connection, head, info }: FilterRequest): AuthorizationFacts {
  return new AuthorizationFacts(connection, head, info.token);
}
