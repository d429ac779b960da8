import type { Clock } from "../core/clock.ts";
import type { SeriesReader } from "./series-reader.ts";
import type { SeriesWriter } from "./series-writer.ts";

/** The state of the configuration, asked at each scrape. */
export interface ConfigFacts {
  /** `Snapshot.version` in force; 0 before the first. */
  readonly generation: number;
  /** `Clock.monotonicMs` when it came into force; null before the first. */
  readonly appliedAtMs: number | null;
  readonly lastReloadSucceeded: boolean;
  /** When the folder was last read, milliseconds since the Unix epoch; null before. */
  readonly lastAttemptMs: number | null;
  /** When that last had no error. */
  readonly lastSuccessMs: number | null;
  /** How many objects are `applied`, `stale`, `rejected`, ... */
  readonly objectsByStatus: Readonly<Record<string, number>>;
  /** Those that are not `applied`; null where a file does not tell. */
  readonly objectsNotApplied: readonly { readonly kind: string | null; readonly namespace: string | null; readonly name: string | null; readonly state: string }[];
  /** How many fields, or objects of kinds, are valid and not obeyed. */
  readonly unsupportedFields: number;
  /** Whether the configuration in force is kept on disk; null where it is not to be. */
  readonly isSaved: boolean | null;
  /** How many problems are `error`, `warning`. */
  readonly problemsBySeverity: Readonly<Record<string, number>>;
}

type ObjectLabels = Readonly<Record<"kind" | "namespace" | "name" | "status", string>>;

/** Objects that are named one by one. More of them in one process count in `outrider_config_objects` only. */
const MAX_NAMED_OBJECTS = 200;

/** `outrider_config_*`, brought up to date when they are scraped. `writer` is the control thread's own. */
export class ConfigMetrics {
  readonly #writer: SeriesWriter;
  readonly #facts: () => ConfigFacts;
  readonly #clock: Clock;
  /** Statuses and severities seen: one that is no longer there must read 0, not its last value. */
  readonly #statuses = new Set<string>();
  readonly #severities = new Set<string>(["error", "warning"]);
  /** Labels of objects named so far, by their text. */
  readonly #named = new Map<string, ObjectLabels>();

  constructor(reader: SeriesReader, writer: SeriesWriter, facts: () => ConfigFacts, clock: Clock) {
    this.#writer = writer;
    this.#facts = facts;
    this.#clock = clock;
    reader.beforeScrape(() => this.#refresh());
  }

  #refresh(): void {
    const facts = this.#facts();
    const age = facts.appliedAtMs === null ? 0 : (this.#clock.monotonicMs() - facts.appliedAtMs) / 1000;
    this.#writer.gauge("outrider_config_generation", {}, "Number of the configuration in force").set(facts.generation);
    this.#writer.gauge("outrider_config_age_seconds", {}, "Seconds since it came into force").set(age);
    this.#writer.gauge("outrider_config_last_reload_success", {}, "1 when the last reload had no error").set(facts.lastReloadSucceeded ? 1 : 0);
    this.#writer.gauge("outrider_config_last_attempt_timestamp_seconds", {}, "When the configuration was last read, Unix time").set((facts.lastAttemptMs ?? 0) / 1000);
    this.#writer.gauge("outrider_config_last_success_timestamp_seconds", {}, "When it was last read without error, Unix time").set((facts.lastSuccessMs ?? 0) / 1000);
    this.#writer.gauge("outrider_config_unsupported_fields", {}, "Fields and objects that are valid and not obeyed").set(facts.unsupportedFields);
    if (facts.isSaved !== null) this.#writer.gauge("outrider_config_saved", {}, "1 when the configuration in force is kept on disk").set(facts.isSaved ? 1 : 0);
    this.#setObjects(facts.objectsNotApplied);
    this.#set("outrider_config_objects", "status", "Objects of the configuration", this.#statuses, facts.objectsByStatus);
    this.#set("outrider_config_problems", "severity", "Problems of the configuration", this.#severities, facts.problemsBySeverity);
  }

  #setObjects(objects: ConfigFacts["objectsNotApplied"]): void {
    const present = new Set<string>();
    for (const { kind, namespace, name, state } of objects) {
      const labels: ObjectLabels = { kind: kind ?? "", namespace: namespace ?? "", name: name ?? "", status: state };
      const key = JSON.stringify(labels);
      if (!this.#named.has(key) && this.#named.size >= MAX_NAMED_OBJECTS) continue;
      this.#named.set(key, labels);
      present.add(key);
    }
    for (const [key, labels] of this.#named) {
      this.#writer.gauge("outrider_config_object_status", { ...labels }, "1 for each object that is not in force as it is written").set(present.has(key) ? 1 : 0);
    }
  }

  #set(name: string, label: string, help: string, seen: Set<string>, counts: Readonly<Record<string, number>>): void {
    for (const value of Object.keys(counts)) seen.add(value);
    for (const value of seen) this.#writer.gauge(name, { [label]: value }, help).set(counts[value] ?? 0);
  }
}
