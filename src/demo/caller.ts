import { join } from "node:path";

import type { Program } from "./program.ts";
import type { Workspace } from "./workspace.ts";

/** A request an application sends, some or many times. */
export interface Order {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly count?: number;
  readonly inParallel?: number;
}

/** What one request got: a status, or the name of what went wrong. */
export interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

/** What became of some requests. */
export interface Tally {
  readonly requests: number;
  /** How many by status (`"200"`) or error (`"ECONNRESET"`). */
  readonly outcomes: Readonly<Record<string, number>>;
  /** How many were answered by each version of reviews. */
  readonly versions: Readonly<Record<string, number>>;
  /** How many reviews got under each client certificate, by its SHA-256. */
  readonly certificates: Readonly<Record<string, number>>;
  readonly last: Answer | null;
}

const ANSWER_TIMEOUT_MS = 60_000;

/** Requests of a tally that were not answered with 200. */
export function failures(tally: Tally): number {
  return tally.requests - (tally.outcomes["200"] ?? 0);
}

/** `{"200":990,"503":10}` as `990 × 200, 10 × 503`. */
export function describeCounts(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([key, count]) => `${count} × ${key}`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

/** An application that calls others, `apps/caller.mjs`, and how it is told what to call. */
export class Caller {
  readonly #program: Program;
  #nextId = 1;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Starts it; `enter` puts it where it is to run. */
  static async start(workspace: Workspace, name: string, enter: (words: readonly string[]) => readonly string[]): Promise<Caller> {
    const { node, examples } = workspace.setting;
    const program = workspace.start(name, enter([...node, join(examples, "apps", "caller.mjs")]));
    await program.line("its first word", (line) => (line.includes('"ready"') ? true : null), ANSWER_TIMEOUT_MS);
    return new Caller(program);
  }

  /** One page, as an operator would get it; the body parsed as JSON. @throws when there is none. */
  async page(url: string): Promise<unknown> {
    const answer = await this.#tell<Answer>({ do: "get", url });
    if (answer.status !== 200) throw new Error(`${url}: ${answer.error ?? `status ${answer.status}`}`);
    return JSON.parse(answer.body ?? "") as unknown;
  }

  /** Sends requests and waits for all of them. */
  ask(order: Order): Promise<Tally> {
    return this.#tell({ do: "ask", ...order });
  }

  /** Sends requests without end. One load at a time. */
  async startLoad(order: Order): Promise<void> {
    await this.#tell({ do: "load", ...order });
  }

  /** What became of the load since the last reading. */
  reading(): Promise<Tally> {
    return this.#tell({ do: "reading" });
  }

  /** Ends the load, waits for what is under way, gives what is left. */
  endLoad(): Promise<Tally> {
    return this.#tell({ do: "rest" });
  }

  async #tell<T>(order: object): Promise<T> {
    const id = this.#nextId++;
    const start = `{"id":${id},`;
    const answer = this.#program.line("answer", (line) => (line.startsWith(start) ? line : null), ANSWER_TIMEOUT_MS);
    this.#program.tell(JSON.stringify({ id, ...order }));
    return (JSON.parse(await answer) as { result: T }).result;
  }
}
