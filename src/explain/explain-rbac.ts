import { accountOfCheck, accountOfCustom, type AuthorizationAccount } from "../filter/rbac-account.ts";
import type { Authorizer } from "../filter/rbac.ts";
import type { AuthorizationFacts } from "../filter/rbac-facts.ts";
import type { FilterAccount } from "./recorded-filter.ts";
import { writtenAt } from "./written-at.ts";

/** The authorizer's verdict in words, with the rule that made it or came closest. */
export function accountOfVerdict(authorizer: Authorizer, facts: AuthorizationFacts): FilterAccount {
  return explained(accountOfCheck(authorizer, facts));
}

/** Who is asked about it, and why; null when nobody is. `canBeAsked`: there is such a provider, whose answer nobody can tell. */
export function accountOfProvider(authorizer: Authorizer, facts: AuthorizationFacts, canBeAsked: (provider: string) => boolean): FilterAccount | null {
  const account = accountOfCustom(authorizer, facts);
  if (account === null) return null;
  const provider = authorizer.custom(facts)?.provider ?? "";
  if (!canBeAsked(provider)) return explained({ ...account, reason: `${account.reason}; it cannot be asked` });
  return { ...explained({ ...account, reason: `${account.reason}; it decides, and has not been asked` }), provider };
}

function explained({ provenance, reason, nearMiss }: AuthorizationAccount): FilterAccount {
  if (nearMiss === null) return { ...writtenAt(provenance), reason, nearMiss: null };
  const failed = nearMiss.failed.map(({ condition, wanted, got }) => ({ condition, wanted: wanted.values, unwanted: wanted.notValues, got }));
  return { ...writtenAt(provenance), reason, nearMiss: { ...writtenAt(nearMiss.provenance), failed } };
}
