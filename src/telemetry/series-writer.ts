import { metricFamily } from "./metric-family.ts";
import type { FamilySpec, MetricType, SeriesBatch, SeriesSpec } from "./series-batch.ts";
import { slotWidth } from "./series-batch.ts";
import { Counter, Gauge, Histogram } from "./series.ts";
import { SlotMemory } from "./slot-memory.ts";
import type { Stretch } from "./slot-memory.ts";

interface WriterOptions {
  /** Most series of families that peers can make grow. */
  readonly maxTrafficSeries?: number;
  /** Most series of all other families. */
  readonly maxConfiguredSeries?: number;
  /** A traffic series whose numbers stood still for this many sweeps is dropped. */
  readonly idleSweeps?: number;
}

interface PendingBatch {
  readonly families: FamilySpec[];
  readonly segments: SharedArrayBuffer[];
  readonly added: SeriesSpec[];
  readonly removed: number[];
}

interface Series {
  readonly id: number;
  readonly key: string;
  readonly family: Family;
  readonly stretch: Stretch;
  readonly handle: Counter | Gauge | Histogram;
  lastTotal: number;
  idleSweeps: number;
}

/** A metric this writer knows; made by `SeriesWriter.family`. */
export class Family {
  readonly index: number;
  readonly spec: FamilySpec;
  readonly bounds: Float64Array;
  readonly series = new Map<string, Series>();
  readonly overflow = new Map<string, Series>();

  constructor(index: number, spec: FamilySpec) {
    this.index = index;
    this.spec = spec;
    this.bounds = Float64Array.from(spec.buckets);
  }
}

/** The value every label has in the series that takes what the budget refused. */
const OVERFLOW_LABEL = "other";

/** Values of labels as one string; two lists have the same key only when they are equal. */
export function labelKey(labels: readonly string[]): string {
  return JSON.stringify(labels);
}

/**
 * The metrics of one thread, in shared memory (design.md, "Two kinds of thread"). Finding a series costs a lookup
 * and is done once per combination of labels; counting afterwards is an addition. New series are announced in
 * batches, a microtask later, as plain data for the control thread's `SeriesReader`.
 */
export class SeriesWriter {
  /** Grows whenever series were dropped: whoever keeps handles of traffic series finds them anew then. */
  epoch = 0;
  readonly #announce: (batch: SeriesBatch) => void;
  readonly #maxTraffic: number;
  readonly #maxConfigured: number;
  readonly #idleSweeps: number;
  readonly #memory: SlotMemory;
  readonly #families = new Map<string, Family>();
  readonly #dropped: Counter;
  #trafficSeries = 0;
  #configuredSeries = 0;
  #nextId = 0;
  #pending: PendingBatch | null = null;

  /** `announce` gets plain data and must not throw. */
  constructor(announce: (batch: SeriesBatch) => void, options: WriterOptions = {}) {
    this.#announce = announce;
    this.#maxTraffic = options.maxTrafficSeries ?? 2000;
    this.#maxConfigured = options.maxConfiguredSeries ?? 50_000;
    this.#idleSweeps = options.idleSweeps ?? 15;
    this.#memory = new SlotMemory((buffer) => this.#batch().segments.push(buffer));
    const dropped = metricFamily("outrider_metrics_dropped_series_total", "counter", "Times a new series was refused because the budget was spent", []);
    this.#dropped = this.counterOf(this.family(dropped), []);
  }

  /** The family with this name and these labels; the first description given stays. */
  family(spec: FamilySpec): Family {
    const key = `${spec.name} ${spec.labelNames.join(",")}`;
    const known = this.#families.get(key);
    if (known !== undefined) return known;
    const family = new Family(this.#families.size, spec);
    this.#families.set(key, family);
    this.#batch().families.push(spec);
    return family;
  }

  /** The counter of `labels` (in the order of the family's label names); `key` is `labelKey(labels)` when known. */
  counterOf(family: Family, labels: readonly string[], key = labelKey(labels)): Counter {
    return this.#find(family, labels, key).handle as Counter;
  }

  /** As `counterOf`, for a gauge. */
  gaugeOf(family: Family, labels: readonly string[], key = labelKey(labels)): Gauge {
    return this.#find(family, labels, key).handle as Gauge;
  }

  /** As `counterOf`, for a histogram. */
  histogramOf(family: Family, labels: readonly string[], key = labelKey(labels)): Histogram {
    return this.#find(family, labels, key).handle as Histogram;
  }

  /**
   * A counter that follows from the configuration, `counter("envoy_cluster_upstream_rq_total", { cluster_name })`.
   * Asking again gives the same numbers; keep the handle, this is not for the hot path.
   */
  counter(name: string, labels: Readonly<Record<string, string>> = {}, help?: string): Counter {
    const names = Object.keys(labels).sort();
    return this.counterOf(this.#named(name, "counter", names, help), names.map((label) => labels[label] as string));
  }

  /** As `counter`, for a gauge; values of several threads are summed. */
  gauge(name: string, labels: Readonly<Record<string, string>> = {}, help?: string): Gauge {
    const names = Object.keys(labels).sort();
    return this.gaugeOf(this.#named(name, "gauge", names, help), names.map((label) => labels[label] as string));
  }

  /** As `counter`, for a histogram with the default buckets. */
  histogram(name: string, labels: Readonly<Record<string, string>> = {}, help?: string): Histogram {
    const names = Object.keys(labels).sort();
    return this.histogramOf(this.#named(name, "histogram", names, help), names.map((label) => labels[label] as string));
  }

  /** Drops traffic series that have not moved for `idleSweeps` calls. Call it once a minute or so. */
  sweep(): void {
    this.#memory.settle();
    let dropped = 0;
    for (const family of this.#families.values()) {
      if (!family.spec.isTraffic) continue;
      for (const series of family.series.values()) {
        if (this.#isIdle(series)) {
          this.#drop(series);
          dropped++;
        }
      }
    }
    if (dropped > 0) this.epoch++;
  }

  #named(name: string, type: MetricType, labelNames: readonly string[], help?: string): Family {
    return this.family(metricFamily(name, type, help ?? name.replaceAll("_", " "), labelNames));
  }

  #find(family: Family, labels: readonly string[], key: string): Series {
    const known = family.series.get(key);
    if (known !== undefined) return known;
    const isTraffic = family.spec.isTraffic;
    if (isTraffic ? this.#trafficSeries >= this.#maxTraffic : this.#configuredSeries >= this.#maxConfigured) {
      return this.#overflow(family, labels);
    }
    if (isTraffic) this.#trafficSeries++;
    else this.#configuredSeries++;
    return this.#add(family, family.series, labels, key);
  }

  #overflow(family: Family, labels: readonly string[]): Series {
    this.#dropped.add(1);
    const { labelNames, keptOnOverflow } = family.spec;
    const merged = labels.map((value, index) => (keptOnOverflow.includes(labelNames[index] as string) ? value : OVERFLOW_LABEL));
    const key = labelKey(merged);
    return family.overflow.get(key) ?? this.#add(family, family.overflow, merged, key);
  }

  #add(family: Family, into: Map<string, Series>, labels: readonly string[], key: string): Series {
    const stretch = this.#memory.allocate(slotWidth(family.spec));
    const series: Series = {
      id: this.#nextId++, key, family, stretch, handle: makeHandle(family, stretch), lastTotal: 0, idleSweeps: 0,
    };
    into.set(key, series);
    this.#batch().added.push({ id: series.id, family: family.index, labels, segment: stretch.segment, offset: stretch.offset });
    return series;
  }

  #isIdle(series: Series): boolean {
    const total = series.handle instanceof Histogram ? series.handle.count : series.handle.value;
    series.idleSweeps = total === series.lastTotal ? series.idleSweeps + 1 : 0;
    series.lastTotal = total;
    return series.idleSweeps >= this.#idleSweeps;
  }

  #drop(series: Series): void {
    series.family.series.delete(series.key);
    series.handle.retire();
    this.#memory.release(series.stretch);
    this.#trafficSeries--;
    this.#batch().removed.push(series.id);
  }

  /** The batch being gathered; the first call starts one and sees to it that it is sent. */
  #batch(): PendingBatch {
    if (this.#pending === null) {
      this.#pending = { families: [], segments: [], added: [], removed: [] };
      queueMicrotask(() => {
        const batch = this.#pending;
        this.#pending = null;
        if (batch !== null) this.#announce(batch);
      });
    }
    return this.#pending;
  }
}

function makeHandle(family: Family, stretch: Stretch): Counter | Gauge | Histogram {
  if (family.spec.type === "histogram") return new Histogram(stretch.values, stretch.offset, family.bounds);
  if (family.spec.type === "gauge") return new Gauge(stretch.values, stretch.offset);
  return new Counter(stretch.values, stretch.offset);
}
