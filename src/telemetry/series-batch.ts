/** What kind of number a metric is, as Prometheus names it. */
export type MetricType = "counter" | "gauge" | "histogram";

/** A metric with one set of label names. Two families may share a name and differ in labels. */
export interface FamilySpec {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  /** Upper bounds of a histogram, ascending, without `+Inf`; empty for other types. */
  readonly buckets: readonly number[];
  /** How values of several threads become one; counters and histograms are always summed. */
  readonly aggregate: "sum" | "max";
  /**
   * True when peers decide how many series there are. Such series count against the traffic budget and are dropped
   * when idle; the others follow from the configuration.
   */
  readonly isTraffic: boolean;
  /** Labels that keep their value in the overflow series; they must have few values. */
  readonly keptOnOverflow: readonly string[];
}

/** A series that came into being: where its numbers are. */
export interface SeriesSpec {
  /** Unique within the writer. */
  readonly id: number;
  /** Index into the families announced so far. */
  readonly family: number;
  /** In the order of the family's `labelNames`. */
  readonly labels: readonly string[];
  /** Index into the segments announced so far. */
  readonly segment: number;
  /** Index of the first double inside the segment. */
  readonly offset: number;
}

/**
 * What a writer tells the control thread: plain data, to be posted between threads. A counter or gauge takes one
 * double; a histogram one per bucket, one for `+Inf`, one for the sum.
 */
export interface SeriesBatch {
  readonly families: readonly FamilySpec[];
  readonly segments: readonly SharedArrayBuffer[];
  readonly added: readonly SeriesSpec[];
  /** Ids of series that were idle for long and are gone. */
  readonly removed: readonly number[];
}

/** How many doubles a series of this family takes. */
export function slotWidth(family: FamilySpec): number {
  return family.type === "histogram" ? family.buckets.length + 2 : 1;
}
