import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import type { ExternalAuthorizerSpec } from "../config/snapshot-security.ts";
import type { Snapshot } from "../config/snapshot.ts";

/** The snapshot as anybody on the host may read it: a key that is a shared secret is there, and not what it is. */
export function configDump(snapshot: Snapshot | null): unknown {
  if (snapshot === null) return null;
  const { jwtRules, externalAuthorizers } = snapshot.inbound;
  if (jwtRules === undefined && externalAuthorizers === undefined) return snapshot;
  const inbound = {
    ...snapshot.inbound,
    ...(jwtRules === undefined ? {} : { jwtRules: jwtRules.map(withoutSecrets) }),
    ...(externalAuthorizers === undefined ? {} : { externalAuthorizers: externalAuthorizers.map(withoutValues) }),
  };
  return { ...snapshot, inbound };
}

/** By a header of its own an authorizer may know who asks. */
function withoutValues(authorizer: ExternalAuthorizerSpec): ExternalAuthorizerSpec {
  return { ...authorizer, addedHeaders: authorizer.addedHeaders.map(([name]) => [name, "(secret)"]) };
}

function withoutSecrets(rule: JwtRuleSpec): JwtRuleSpec {
  const { keys } = rule;
  if (keys.kind === "remote") return rule;
  return { ...rule, keys: { kind: "inline", keys: keys.keys.map((key) => (key.k === undefined ? key : { ...key, k: "(secret)" })) } };
}
