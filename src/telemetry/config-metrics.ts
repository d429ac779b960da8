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
  /** How many objects are `applied`, `shadowed`, `rejected`, ... */
  readonly objectsByStatus: Readonly<Record<string, number>>;
  /** How many problems are `error`, `warning`. */
  readonly problemsBySeverity: Readonly<Record<string, number>>;
}

/** `outrider_config_*`, brought up to date when they are scraped. `writer` is the control thread's own. */
export class ConfigMetrics {
  readonly #writer: SeriesWriter;
  readonly #facts: () => ConfigFacts;
  readonly #clock: Clock;
  /** Statuses and severities seen: one that is no longer there must read 0, not its last value. */
  readonly #statuses = new Set<string>();
  readonly #severities = new Set<string>(["error", "warning"]);

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
    this.#set("outrider_config_objects", "status", "Objects of the configuration", this.#statuses, facts.objectsByStatus);
    this.#set("outrider_config_problems", "severity", "Problems of the configuration", this.#severities, facts.problemsBySeverity);
  }

  #set(name: string, label: string, help: string, seen: Set<string>, counts: Readonly<Record<string, number>>): void {
    for (const value of Object.keys(counts)) seen.add(value);
    for (const value of seen) this.#writer.gauge(name, { [label]: value }, help).set(counts[value] ?? 0);
  }
}
