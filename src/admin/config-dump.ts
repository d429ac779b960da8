import type { JwtRuleSpec } from "../config/snapshot-jwt.ts";
import type { Snapshot } from "../config/snapshot.ts";

/** The snapshot as anybody on the host may read it: a key that is a shared secret is there, and not what it is. */
export function configDump(snapshot: Snapshot | null): unknown {
  const rules = snapshot?.inbound.jwtRules;
  if (snapshot === null || rules === undefined) return snapshot;
  return { ...snapshot, inbound: { ...snapshot.inbound, jwtRules: rules.map(withoutSecrets) } };
}

function withoutSecrets(rule: JwtRuleSpec): JwtRuleSpec {
  const { keys } = rule;
  if (keys.kind === "remote") return rule;
  return { ...rule, keys: { kind: "inline", keys: keys.keys.map((key) => (key.k === undefined ? key : { ...key, k: "(secret)" })) } };
}
