import { isExportedTo } from "../compile/export-to.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import { resourceName } from "../resource.ts";
import type { Finding } from "./finding.ts";
import { placeOf } from "./lint-model.ts";
import type { LintModel } from "./lint-model.ts";

type ServiceEntry = ResourceOf<"ServiceEntry">;

/**
 * Hosts that ServiceEntries of two namespaces define for everybody: each workload asks only one of them. Rivals of which
 * nobody asks the second, in one namespace or of other kinds, are told of by the compiler.
 */
export function claimedHosts(model: LintModel): Finding[] {
  const first = new Map<string, ServiceEntry>();
  const findings: Finding[] = [];
  for (const entry of model.all("ServiceEntry")) {
    entry.spec.hosts.forEach((written, index) => {
      const host = written.toLowerCase();
      const finding = secondEntry(model, entry, host, index, first.get(host));
      if (!first.has(host)) first.set(host, entry);
      if (finding !== null) findings.push(finding);
    });
  }
  return findings;
}

function secondEntry(model: LintModel, entry: ServiceEntry, host: string, index: number, older: ServiceEntry | undefined): Finding | null {
  if (older === undefined || older.metadata.namespace === entry.metadata.namespace) return null;
  const { namespace } = entry.metadata;
  const isSeen = isExportedTo(older.spec.exportTo ?? [], older.metadata.namespace, "*", model.mesh.serviceExportTo)
    && isExportedTo(entry.spec.exportTo ?? [], namespace, "*", model.mesh.serviceExportTo);
  if (!isSeen) return null;
  return {
    lint: "host-claimed-twice", resource: entry, path: ["spec", "hosts", index],
    message: `${host} is a host of ${resourceName(older)} at ${placeOf(older, ["spec", "hosts"])} too: outside ${namespace} that one is used; `
      + "remove one of them, or keep each to its namespace with exportTo: [\".\"]",
  };
}
