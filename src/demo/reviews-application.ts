import { join } from "node:path";

import type { Program } from "./program.ts";
import type { Workspace } from "./workspace.ts";

/** What the application has done so far. */
export interface ReviewsCounts {
  readonly isFailing: boolean;
  /** Requests answered with 200. */
  readonly answered: number;
  /** Requests answered with 503 because it was told to fail. */
  readonly failed: number;
}

const ANSWER_TIMEOUT_MS = 60_000;

/** One version of the application that is called, `apps/reviews.mjs`: plain HTTP, and a switch to make it fail. */
export class ReviewsApplication {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Starts it; `enter` puts it where it is to run. */
  static async start(
    workspace: Workspace,
    version: string,
    address: string,
    port: number,
    enter: (words: readonly string[]) => readonly string[],
  ): Promise<ReviewsApplication> {
    const { node, examples } = workspace.setting;
    const program = workspace.start(`application-${version}`, enter([...node, join(examples, "apps", "reviews.mjs"), version, `${port}`, address]));
    await program.line("its first word", (line) => (line.includes('"listening"') ? true : null), ANSWER_TIMEOUT_MS);
    return new ReviewsApplication(program);
  }

  /** From now on it answers 503. */
  fail(): Promise<ReviewsCounts> {
    return this.#tell("fail");
  }

  /** From now on it answers again. */
  work(): Promise<ReviewsCounts> {
    return this.#tell("work");
  }

  report(): Promise<ReviewsCounts> {
    return this.#tell("report");
  }

  async #tell(word: string): Promise<ReviewsCounts> {
    const answer = this.#program.line("answer", (line) => (line.includes('"isFailing"') ? line : null), ANSWER_TIMEOUT_MS);
    this.#program.tell(word);
    return JSON.parse(await answer) as ReviewsCounts;
  }
}
