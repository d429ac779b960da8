import type { AnyResource } from "../kinds/kind-specs.ts";
import { resourceName } from "../resource.ts";
import type { ObjectReport, ObjectState } from "./object-report.ts";

/** An object, and since when it is so. */
export interface DatedReport extends ObjectReport {
  /** Generation in which its present state, or the version in force, began. */
  readonly generation: number;
  /** The moment of that, milliseconds since the Unix epoch. */
  readonly sinceMs: number;
}

interface Entry {
  readonly state: ObjectState;
  readonly version: AnyResource | null;
  readonly generation: number;
  readonly sinceMs: number;
}

/** Remembers since when each object is in its state and in its version; forgets those that are gone. */
export class ObjectHistory {
  #entries = new Map<string, Entry>();

  /** @param resources in force: one that stayed equal is the same object as before. */
  date(reports: readonly ObjectReport[], resources: readonly AnyResource[], generation: number, nowMs: number): DatedReport[] {
    const versions = new Map(resources.map((resource) => [resourceName(resource), resource]));
    const entries = new Map<string, Entry>();
    const dated = reports.map((report, index) => {
      const name = report.name === null ? null : `${report.kind} ${report.namespace}/${report.name}`;
      const key = name === null || entries.has(name) ? `${report.file}\n${name ?? index}` : name;
      const version = name === null ? null : versions.get(name) ?? null;
      const known = this.#entries.get(key);
      const isSame = known !== undefined && known.state === report.state && known.version === version;
      const entry = isSame ? known : { state: report.state, version, generation, sinceMs: nowMs };
      entries.set(key, entry);
      return { ...report, generation: entry.generation, sinceMs: entry.sinceMs };
    });
    this.#entries = entries;
    return dated;
  }
}
