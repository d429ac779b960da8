import type { Metric as PromMetric } from "prom-client";
import PromRegistry from "prom-client/lib/registry.js";
import type { Metric, SeriesReader } from "./series-reader.ts";
import type { SeriesTotals } from "./series-totals.ts";

/** The content type of `exposition`, Prometheus text format 0.0.4. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** A line as prom-client's registry takes it: `sharedLabels` are rendered once per object and remembered. */
interface Line {
  readonly value: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly metricName: string;
}

const NO_LABELS: Readonly<Record<string, string>> = {};
/** The `le` label of each bound, one object per bound over all series. */
const BOUND_LABELS = new Map<number, Readonly<Record<string, string>>>();

/** The text of a scrape: every metric of `reader`, written by prom-client's registry. */
export async function exposition(reader: SeriesReader): Promise<string> {
  reader.refresh();
  await Promise.resolve();
  const registry = new PromRegistry();
  for (const metric of reader.metrics()) {
    if (metric.series.size === 0) continue;
    // The registry asks of a metric its name and what `get` gives; its classes would keep the numbers a second time.
    registry.registerMetric({ name: metric.name, get: () => snapshotOf(metric) } as unknown as PromMetric);
  }
  return registry.metrics();
}

function snapshotOf(metric: Metric): { name: string; help: string; type: string; values: Line[] } {
  const values: Line[] = [];
  for (const totals of metric.series.values()) {
    if (metric.type === "histogram") pushHistogram(values, totals);
    else values.push({ value: totals.at(0), labels: NO_LABELS, sharedLabels: totals.labels, metricName: metric.name });
  }
  return { name: metric.name, help: metric.help, type: metric.type, values };
}

function pushHistogram(values: Line[], totals: SeriesTotals): void {
  const { name, buckets } = totals.spec;
  const bucketName = `${name}_bucket`;
  let count = 0;
  for (let index = 0; index <= buckets.length; index++) {
    count += totals.at(index);
    values.push({ value: count, labels: boundLabel(buckets[index] ?? Infinity), sharedLabels: totals.labels, metricName: bucketName });
  }
  values.push({ value: totals.at(buckets.length + 1), labels: NO_LABELS, sharedLabels: totals.labels, metricName: `${name}_sum` });
  values.push({ value: count, labels: NO_LABELS, sharedLabels: totals.labels, metricName: `${name}_count` });
}

function boundLabel(bound: number): Readonly<Record<string, string>> {
  let label = BOUND_LABELS.get(bound);
  if (label === undefined) {
    label = { le: bound === Infinity ? "+Inf" : String(bound) };
    BOUND_LABELS.set(bound, label);
  }
  return label;
}
