import type { ConnectionAuthorization, ConnectionRefusal } from "../filter/connection-authorization.ts";
import type { AuthorizationVerdict } from "../filter/rbac-verdict.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { OpenConnection } from "./tcp-connection.ts";
import { describeDenial, type InboundRefusal } from "./inbound-refusal.ts";

/** What the live connections of a direction are judged by, and who is told. */
export interface DeniedNowParts {
  readonly authorization: ConnectionAuthorization;
  /** Told once of the verdict that holds; gives the id of its record. */
  readonly authorized: (facts: ConnectionFacts, verdict: AuthorizationVerdict, said: string | null) => string | null;
  readonly refused: (refusal: InboundRefusal) => void;
}

/**
 * Response code details of an open connection that the policies in force now forbid; null for one that may go on. Where
 * an external authorizer has to be asked it goes on meanwhile, and is closed later if it may not: by the answer to the
 * question asked last, and to none once it is over.
 */
export function deniedNow(connection: OpenConnection, parts: DeniedNowParts): string | null {
  const { facts } = connection;
  const { authorization } = parts;
  connection.awaits(null);
  // Whom these forbid no authorizer lets pass: it does not stay open for as long as one thinks.
  const byRules = authorization.judgeByRules(facts);
  if (!byRules.isAllowed) return tell(facts, byRules, null, parts);
  const asked = authorization.ask(facts, (judged, refusal) => {
    if (!judged.isAllowed) connection.close(tell(facts, judged, refusal, parts));
  });
  connection.awaits(asked);
  if (asked !== null) return null;
  const verdict = authorization.judge(facts);
  return verdict.isAllowed ? null : tell(facts, verdict, null, parts);
}

function tell(facts: ConnectionFacts, verdict: AuthorizationVerdict, refusal: ConnectionRefusal | null, { authorized, refused }: DeniedNowParts): string {
  const recordId = authorized(facts, verdict, refusal?.said ?? null);
  const message = `${describeDenial(verdict, facts, recordId, refusal?.said)}; it was open when that came into force`;
  refused({ remote: facts.remote, local: facts.local, reason: refusal?.details ?? "rbac_access_denied", message, wasOpen: true });
  return refusal?.details ?? `rbac_access_denied_matched_policy[${verdict.id}]`;
}
