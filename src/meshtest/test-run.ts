import { formatProblem } from "../config/problem.ts";
import type { Problem } from "../config/problem.ts";
import type { Clock } from "../core/clock.ts";
import { InvalidExplainRequest } from "../explain/explain-request.ts";
import type { ExplainRequest } from "../explain/explain-request.ts";
import { Explainer } from "../explain/explainer.ts";
import type { Explanation } from "../explain/explanation.ts";
import { Configurations } from "./configurations.ts";
import { configErrorDifferences } from "./config-errors.ts";
import { differences } from "./differences.ts";
import { findTestFiles } from "./find-test-files.ts";
import type { Difference } from "./findings.ts";
import { readSuites } from "./read-suites.ts";
import type { TestCase, TestSuite } from "./test-suite.ts";

/** What became of one case. */
export interface CaseResult {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  /** How long the decision took. */
  readonly ms: number;
  /** Empty: it is as expected. */
  readonly differences: readonly PlacedDifference[];
  /** Null for a case about the configuration itself. */
  readonly decided: { readonly request: ExplainRequest; readonly explanation: Explanation } | null;
}

export interface PlacedDifference extends Difference {
  readonly line: number;
  readonly col: number;
}

/** What became of all. */
export interface TestRun {
  readonly cases: readonly CaseResult[];
  /** Why some tests could not run: files that are no tests, configuration with errors that no test expects. */
  readonly problems: readonly Problem[];
  /** Files, and configurations that were compiled. */
  readonly files: number;
  readonly configurations: number;
  /** Reading and compiling included. */
  readonly ms: number;
}

/** Runs every `*.meshtest.yaml` below the paths. Never rejects for what is in the files. */
export function runTests(paths: readonly string[], clock: Clock): Promise<TestRun> {
  return new Run(clock).all(paths);
}

class Run {
  readonly #cases: CaseResult[] = [];
  /** By their lines: two workloads often see the same. */
  readonly #problems = new Map<string, Problem>();
  readonly #clock: Clock;
  readonly #configurations: Configurations;
  readonly #explainers = new Map<object, Explainer>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#configurations = new Configurations(clock);
  }

  async all(paths: readonly string[]): Promise<TestRun> {
    const startedAtMs = this.#clock.monotonicMs();
    const { files, problems } = findTestFiles(paths);
    this.#refuse(problems);
    for (const file of files) {
      const read = readSuites(file);
      this.#refuse(read.problems);
      for (const suite of read.suites) await this.#suite(suite);
    }
    return { cases: this.#cases, problems: [...this.#problems.values()], files: files.length, configurations: this.#configurations.size, ms: this.#clock.monotonicMs() - startedAtMs };
  }

  async #suite(suite: TestSuite): Promise<void> {
    const { snapshot, names, errors } = this.#configurations.get(suite.config, suite.workload);
    if (suite.configErrors.length === 0 && errors.length > 0) {
      // What the proxy would make of the rest is not what these cases were written for.
      this.#refuse(errors);
      return;
    }
    if (suite.configErrors.length > 0) this.#configErrors(suite, errors);
    let explainer = this.#explainers.get(snapshot);
    if (explainer === undefined) this.#explainers.set(snapshot, explainer = new Explainer(snapshot, names));
    for (const testCase of suite.cases) await this.#case(suite.file, testCase, explainer);
  }

  #refuse(problems: readonly Problem[]): void {
    for (const problem of problems) this.#problems.set(formatProblem(problem), problem);
  }

  #configErrors(suite: TestSuite, errors: readonly Problem[]): void {
    const { line, col } = suite.configErrorsPlace;
    const found = configErrorDifferences(suite.configErrors, errors).map((difference) => ({ ...difference, line, col }));
    this.#cases.push({ file: suite.file, line, name: "errors of the configuration", ms: 0, differences: found, decided: null });
  }

  async #case(file: string, { name, request, expect, place, placeOf }: TestCase, explainer: Explainer): Promise<void> {
    let startedAtMs = 0;
    let explanation: Explanation;
    try {
      // A token that a header holds is verified; that takes as long as it takes, and is no part of the decision's time.
      await explainer.prepare(request);
      startedAtMs = this.#clock.monotonicMs();
      explanation = explainer.explain(request);
    } catch (error) {
      if (!(error instanceof InvalidExplainRequest)) throw error;
      return this.#refuse([{ severity: "error", file, ...place, resource: null, field: null, message: error.message }]);
    }
    const ms = this.#clock.monotonicMs() - startedAtMs;
    const found = differences(expect, explanation).map((difference) => ({ ...difference, ...placeOf(difference.field) }));
    this.#cases.push({ file, line: place.line, name, ms, differences: found, decided: { request, explanation } });
  }
}
