import { SeriesTotals } from "./series-totals.ts";
import type { FamilySpec, SeriesBatch } from "./series-batch.ts";
import { slotWidth } from "./series-batch.ts";

interface Source {
  readonly families: FamilySpec[];
  readonly segments: Float64Array[];
  /** By the writer's series id. */
  readonly parts: Map<number, Part>;
}

/** What one writer counts of a series. */
interface Part {
  readonly totals: SeriesTotals;
  readonly values: Float64Array;
}

/** All series of one metric name. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: FamilySpec["type"];
  /** By label names and values. */
  readonly series: Map<string, SeriesTotals>;
}

/**
 * The control thread's view of the counters of all threads: what writers announced, added up when asked. Reading
 * costs the writers nothing.
 */
export class SeriesReader {
  readonly #sources = new Map<string, Source>();
  readonly #metrics = new Map<string, Metric>();
  readonly #beforeScrape: (() => void)[] = [];

  /** Takes what the writer called `source` (a thread's name) announced, in the order it did. */
  accept(source: string, batch: SeriesBatch): void {
    let known = this.#sources.get(source);
    if (known === undefined) {
      known = { families: [], segments: [], parts: new Map() };
      this.#sources.set(source, known);
    }
    known.families.push(...batch.families);
    for (const buffer of batch.segments) known.segments.push(new Float64Array(buffer));
    // Additions first: a series may have come and gone within one batch.
    for (const added of batch.added) {
      const family = known.families[added.family];
      const segment = known.segments[added.segment];
      if (family === undefined || segment === undefined) continue;
      const totals = this.#totals(family, added.labels);
      const values = segment.subarray(added.offset, added.offset + slotWidth(family));
      totals.attach(values);
      known.parts.set(added.id, { totals, values });
    }
    for (const id of batch.removed) this.#remove(known, id);
  }

  /** The thread `source` is gone. What it counted stays in the totals; its gauges go with it. */
  detach(source: string): void {
    const known = this.#sources.get(source);
    if (known === undefined) return;
    for (const { totals, values } of known.parts.values()) {
      totals.detach(values);
      if (totals.spec.type === "gauge" && !totals.isAttached) this.#forget(totals);
    }
    this.#sources.delete(source);
  }

  /** Registers what brings gauges up to date before they are read. */
  beforeScrape(refresh: () => void): void {
    this.#beforeScrape.push(refresh);
  }

  /** Runs what `beforeScrape` registered. Series that come into being thereby are known a microtask later. */
  refresh(): void {
    for (const refresh of this.#beforeScrape) refresh();
  }

  /** All metrics in the order they were first announced. */
  metrics(): Iterable<Metric> {
    return this.#metrics.values();
  }

  /** The value of one counter or gauge (a histogram's count), or undefined when there is no such series. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const series = this.#metrics.get(name)?.series;
    if (series === undefined) return undefined;
    for (const totals of series.values()) {
      if (totals.spec.labelNames.length === Object.keys(labels).length
        && totals.spec.labelNames.every((label) => labels[label] === totals.labels[label])) return totals.count();
    }
    return undefined;
  }

  #totals(family: FamilySpec, labels: readonly string[]): SeriesTotals {
    let metric = this.#metrics.get(family.name);
    if (metric === undefined) {
      metric = { name: family.name, help: family.help, type: family.type, series: new Map() };
      this.#metrics.set(family.name, metric);
    }
    const key = seriesKey(family, labels);
    let totals = metric.series.get(key);
    if (totals === undefined) {
      totals = new SeriesTotals(family, labels, key);
      metric.series.set(key, totals);
    }
    return totals;
  }

  #remove(known: Source, id: number): void {
    const part = known.parts.get(id);
    if (part === undefined) return;
    known.parts.delete(id);
    part.totals.detach(part.values);
    if (!part.totals.isAttached) this.#forget(part.totals);
  }

  #forget(totals: SeriesTotals): void {
    this.#metrics.get(totals.spec.name)?.series.delete(totals.key);
  }
}

function seriesKey(family: FamilySpec, labels: readonly string[]): string {
  return JSON.stringify([family.labelNames, labels]);
}
