import type { FamilySpec } from "./series-batch.ts";
import { slotWidth } from "./series-batch.ts";

/** One series over all threads: the parts that threads write, and what threads that are gone left behind. */
export class SeriesTotals {
  readonly spec: FamilySpec;
  readonly key: string;
  /** Kept as one object for good: prom-client keeps its rendering by identity. */
  readonly labels: Readonly<Record<string, string>>;
  readonly #parts = new Set<Float64Array>();
  readonly #base: Float64Array;

  constructor(spec: FamilySpec, labels: readonly string[], key: string) {
    this.spec = spec;
    this.key = key;
    this.labels = Object.fromEntries(spec.labelNames.map((name, index) => [name, labels[index] ?? ""]));
    this.#base = new Float64Array(slotWidth(spec));
  }

  get isAttached(): boolean {
    return this.#parts.size > 0;
  }

  /** `values` is the part of one thread, read in place from now on. */
  attach(values: Float64Array): void {
    this.#parts.add(values);
  }

  /**
   * Ends the part `values`. Counts stay in the total: a total that went down would look to Prometheus like
   * a restart, and be counted again.
   */
  detach(values: Float64Array): void {
    if (!this.#parts.delete(values)) return;
    if (this.spec.type === "gauge") return;
    for (let index = 0; index < values.length; index++) this.#base[index] = (this.#base[index] as number) + (values[index] as number);
  }

  /** The value at `index` of the slot, over all threads. */
  at(index: number): number {
    let total = this.#base[index] as number;
    for (const values of this.#parts) {
      const value = values[index] as number;
      total = this.spec.aggregate === "max" ? Math.max(total, value) : total + value;
    }
    return total;
  }

  /** The value of a counter or gauge; how many values a histogram counted. */
  count(): number {
    if (this.spec.type !== "histogram") return this.at(0);
    let count = 0;
    for (let index = 0; index <= this.spec.buckets.length; index++) count += this.at(index);
    return count;
  }
}
