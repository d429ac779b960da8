import type { RefusalSpec } from "../snapshot.ts";
import { isExportedTo, selects } from "./export-to.ts";
import { compareSpecificity, isSubsetOfHost, qualifyHost } from "./host-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/**
 * A DestinationRule with TLS in it that validation refused. Until it is mended, nothing is sent to its host: without the
 * rule that would be plain text where TLS was asked for. Refused rules without TLS are not among these: they close nothing.
 */
export interface RejectedRule {
  readonly kind: "DestinationRule";
  readonly namespace: string;
  readonly name: string;
  /** As it is written; null where it could not be read: any host. */
  readonly host: string | null;
  readonly exportTo: readonly string[];
  /** Of the clients; `{}` selects all. */
  readonly labels: Readonly<Record<string, string>>;
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** Whether a client is one that the rule is for, as with those in force (spec/04 4.1). */
export function isForClient({ namespace, exportTo, labels }: RejectedRule, client: WorkloadIdentity, mesh: MeshSettings): boolean {
  if (namespace === client.namespace) return selects(labels, client.labels);
  return Object.keys(labels).length === 0 && isExportedTo(exportTo, namespace, client.namespace, mesh.destinationRuleExportTo);
}

/**
 * Whether the rule would have come before those in force in its namespace, or been merged with them.
 *
 * @param best the most specific host of those that cover `host`; null where none does.
 * @param hasTls whether one that is in force says what to do about TLS. Where it does, a rule whose host is not known
 *   closes nothing: it would close the whole mesh.
 */
export function closes(rule: RejectedRule, host: string, best: string | null, hasTls: boolean): boolean {
  if (rule.host === null) return !hasTls;
  const own = qualifyHost(rule.host, rule.namespace);
  return isSubsetOfHost(host, own) && (best === null || compareSpecificity(own, best) <= 0);
}

/** Why nothing is sent to its host. */
export function refusalBy({ kind, namespace, name, file, line }: RejectedRule): RefusalSpec {
  const resource = `${kind} ${namespace}/${name}`;
  return { reason: "it is not valid, and no good version of it is left", provenance: { resource, rule: null, file, line } };
}
