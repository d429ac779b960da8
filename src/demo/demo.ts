import { systemClock } from "../core/clock.ts";
import { CaptureNetwork } from "./capture-network.ts";
import { failureChapter } from "./failure-chapter.ts";
import { identityChapter } from "./identity-chapter.ts";
import { LoopbackNetwork } from "./loopback-network.ts";
import { type Mesh, startMesh } from "./mesh.ts";
import type { Network } from "./network.ts";
import { permissionChapter } from "./permission-chapter.ts";
import { reloadChapter } from "./reload-chapter.ts";
import { rotationChapter } from "./rotation-chapter.ts";
import { splitChapter } from "./split-chapter.ts";
import { Story, type StoryOutput } from "./story.ts";
import { tryIt } from "./try-it.ts";
import { type DemoSetting, Workspace } from "./workspace.ts";

export interface DemoOptions {
  readonly setting: DemoSetting;
  readonly output: StoryOutput;
  /** Network namespaces and captured traffic instead of the loopback address. */
  readonly isCaptured: boolean;
  /** Ends after the story. */
  readonly isOnce: boolean;
  /** Leaves the temporary folder, with its logs, behind. */
  readonly isFolderKept: boolean;
}

const CHAPTERS = [identityChapter, splitChapter, permissionChapter, failureChapter, reloadChapter, rotationChapter];

/** The whole mesh on this machine, and the story it tells. */
export class Demo {
  readonly #options: DemoOptions;
  readonly #story: Story;
  readonly #workspace: Workspace;
  #network: Network | null = null;
  #isAllTold = false;

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#story = new Story(options.output);
    this.#workspace = new Workspace(options.setting);
  }

  /** The story is over; the mesh may stay. */
  get isAllTold(): boolean {
    return this.#isAllTold;
  }

  /** No claim failed so far. */
  get hasHeld(): boolean {
    return this.#story.failed.length === 0;
  }

  /**
   * Tells the story and, unless it is told once, stays until `interrupted`. Everything is tidied up before it resolves.
   * Resolves to true when no claim failed. Rejects when the mesh could not be run, or was interrupted during the story.
   */
  async run(interrupted: Promise<never>): Promise<boolean> {
    try {
      return await Promise.race([this.#tell(), this.#workspace.failure, interrupted]);
    } finally {
      await this.#workspace.stop();
      this.abandon();
    }
  }

  /** Ends everything at once. */
  abandon(): void {
    try {
      this.#network?.destroy();
    } finally {
      this.#workspace.remove(this.#options.isFolderKept);
    }
  }

  async #tell(): Promise<boolean> {
    const { output, isOnce, isCaptured } = this.#options;
    const startedAtMs = systemClock.monotonicMs();
    this.#network = isCaptured ? CaptureNetwork.create(this.#workspace) : await LoopbackNetwork.create();
    output.write(`Outrider: productpage calls reviews, in two versions; visitor would like to. Each has its own sidecar process,\n${this.#network.description}.\n`);
    output.write(`Certificates, configuration and logs: ${this.#workspace.folder}\n`);
    const mesh = await startMesh(this.#workspace, this.#network);
    output.write(`Ready after ${((systemClock.monotonicMs() - startedAtMs) / 1000).toFixed(1)} s.\n`);
    await this.#tellChapters(mesh);
    this.#isAllTold = true;
    this.#story.conclude(systemClock.monotonicMs() - startedAtMs);
    if (!isOnce) {
      output.write(tryIt(mesh));
      await new Promise<never>(() => undefined);
    }
    return this.hasHeld;
  }

  async #tellChapters(mesh: Mesh): Promise<void> {
    for (const chapter of CHAPTERS) await chapter(this.#story, mesh);
  }
}
