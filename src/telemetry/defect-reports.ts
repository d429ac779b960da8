import type { Logger } from "./log.ts";
import type { SeriesWriter } from "./series-writer.ts";

const HELP = "Exceptions nobody expected, each of which may have cost a connection";

/** Counts and logs exceptions nobody expected: `outrider_defects_total{where}` and an error with its stack (faults F39). */
export class DefectReports {
  readonly #series: SeriesWriter;
  readonly #log: Logger;

  constructor(series: SeriesWriter, log: Logger) {
    this.#series = series;
    this.#log = log;
  }

  /** `where` is one of a fixed set of names. */
  report(where: string, cause: unknown): void {
    this.#series.counter("outrider_defects_total", { where }, HELP).add(1);
    const error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    this.#log.limited("error", "unexpected exception", { where, error });
  }
}
