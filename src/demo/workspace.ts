import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Guard } from "./guard.ts";
import { describeEnding, Program } from "./program.ts";

/** What the demo needs to know of how it was started. */
export interface DemoSetting {
  /** Words that run `outrider`: Node, its options, the script. */
  readonly outrider: readonly string[];
  /** Words that run Node. */
  readonly node: readonly string[];
  /** The folder `examples/demo`. */
  readonly examples: string;
  /** For every program; variables that would configure a sidecar are not in it. */
  readonly environment: NodeJS.ProcessEnv;
}

/** The sidecars' own drain is shorter. */
const STOP_GRACE_MS = 5000;

/** A temporary folder and the programs that were started: all that is to be gone when the demo ends. */
export class Workspace {
  readonly setting: DemoSetting;
  readonly folder: string;
  readonly guard: Guard;
  /** Rejects when a program ends that should not; never resolves. */
  readonly failure: Promise<never>;
  #fail: (reason: Error) => void = () => undefined;
  readonly #programs = new Set<Program>();
  #isClosing = false;

  constructor(setting: DemoSetting) {
    this.setting = setting;
    this.folder = mkdtempSync(join(tmpdir(), "outrider-demo-"));
    mkdirSync(this.path("logs"));
    this.guard = new Guard(this.folder, setting.environment);
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // It may happen while nobody waits for it.
    this.failure.catch(() => undefined);
  }

  /** A path in the folder. */
  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  /** Starts a program that is to run until the demo ends. */
  start(name: string, words: readonly string[], environment: Readonly<Record<string, string>> = {}): Program {
    const program = this.#start(name, words, environment);
    void program.ended.then((ending) => {
      if (!this.#isClosing) this.#fail(new Error(`${name} ended by itself, with ${describeEnding(ending)}`));
    });
    return program;
  }

  /** Runs a program to its end. Rejects when it fails. */
  async run(name: string, words: readonly string[]): Promise<void> {
    const ending = await this.#start(name, words, {}).ended;
    if (ending.code !== 0) throw new Error(`${name} failed: ${describeEnding(ending)}`);
  }

  /** Asks every program to end, and waits until it has. */
  async stop(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([...this.#programs].map((program) => program.stop(STOP_GRACE_MS)));
  }

  /** Ends what still runs at once, and removes the folder. Nothing can be started any more. */
  remove(isFolderKept: boolean): void {
    this.#isClosing = true;
    for (const program of this.#programs) program.kill();
    if (!isFolderKept) rmSync(this.folder, { recursive: true, force: true });
    this.guard.done();
  }

  #start(name: string, words: readonly string[], environment: Readonly<Record<string, string>>): Program {
    if (this.#isClosing) throw new Error("the demo is ending");
    const program = new Program({ name, words, environment: { ...this.setting.environment, ...environment }, logFile: this.path("logs", `${name}.log`) });
    const { pid } = program;
    this.#programs.add(program);
    if (pid !== null) this.guard.watch(pid);
    void program.ended.then(() => {
      this.#programs.delete(program);
      if (pid !== null) this.guard.forget(pid);
    });
    return program;
  }
}
