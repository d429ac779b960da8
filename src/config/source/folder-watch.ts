import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import type { Clock } from "../../core/clock.ts";
import type { Timer, TimerWheel } from "../../core/timer-wheel.ts";

/** How often the folders are looked at without being told: network file systems send no events. */
const POLL_MS = 500;
/** Nothing may have changed for this long before a change counts as settled. */
const REST_MS = 100;
/**
 * Under writes that never rest, this long after the first of them is late enough: what is read then may be half of a
 * change, but nobody who keeps one file busy keeps all others from being read.
 */
const MAX_WAIT_MS = 5_000;

interface WatchOptions {
  readonly timers: TimerWheel;
  readonly clock: Clock;
  /** The state of the folders, and which there are. */
  readonly look: () => { readonly signature: string; readonly folders: readonly string[] };
  /** The state that was last read. */
  readonly known: () => string;
  /** Whether the files still hold the very bytes that were last read. */
  readonly holdsSameBytes: () => boolean;
  readonly onChange: () => void;
}

/**
 * Finds out that folders changed: by the file system's events where they come, by looking where they do not. Tells of
 * a change once, after it has settled; a state that is changed and changed back in between is none.
 */
export class FolderWatch {
  readonly #options: WatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #poll: Timer | null = null;
  #settle: Timer | null = null;
  #firstSeenMs = 0;
  #pending = "";
  /** What was last read was compared with the files once more, after they had rested. */
  #isConfirmed = true;
  #isStopped = false;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#look();
    this.wasRead();
    this.#schedulePoll();
  }

  /**
   * To be told of each read. Two writes within one tick of the file system's clock look alike from outside, so what may
   * have been read while it was written is compared byte by byte when it has rested.
   */
  wasRead(): void {
    this.#isConfirmed = false;
    if (this.#settle !== null || this.#isStopped) return;
    this.#firstSeenMs = this.#options.clock.monotonicMs();
    this.#await(this.#options.known());
  }

  stop(): void {
    this.#isStopped = true;
    this.#poll?.cancel();
    this.#settle?.cancel();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #schedulePoll(): void {
    this.#poll = this.#options.timers.schedule(POLL_MS, () => {
      if (this.#settle === null) this.#look();
      this.#schedulePoll();
    });
  }

  /** Compares the folders with what was last read, and begins to wait for rest when they differ. */
  #look(): void {
    const { signature, folders } = this.#options.look();
    this.#watchAll(folders);
    if (signature === this.#options.known()) return;
    this.#firstSeenMs = this.#options.clock.monotonicMs();
    this.#await(signature);
  }

  #await(signature: string): void {
    this.#pending = signature;
    this.#settle = this.#options.timers.schedule(REST_MS, () => this.#check());
  }

  #check(): void {
    this.#settle = null;
    const { signature, folders } = this.#options.look();
    this.#watchAll(folders);
    if (signature === this.#pending) {
      const isUnchanged = signature === this.#options.known() && (this.#isConfirmed || this.#options.holdsSameBytes());
      this.#isConfirmed = true;
      if (!isUnchanged) this.#options.onChange();
      return;
    }
    if (this.#options.clock.monotonicMs() - this.#firstSeenMs >= MAX_WAIT_MS - REST_MS) {
      this.#firstSeenMs = this.#options.clock.monotonicMs();
      this.#options.onChange();
    }
    if (!this.#isStopped && this.#settle === null) this.#await(signature);
  }

  /** Something happened in a folder. While a change settles, `#check` looks anyway. */
  #touched(): void {
    if (!this.#isStopped && this.#settle === null) this.#look();
  }

  #watchAll(folders: readonly string[]): void {
    if (this.#isStopped) return;
    const wanted = new Set(folders);
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) if (!this.#watchers.has(folder)) this.#watchOne(folder);
  }

  #watchOne(folder: string): void {
    const drop = (watcher: FSWatcher): void => {
      watcher.close();
      if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder);
    };
    try {
      const watcher = watch(folder, { persistent: false }, (event, name) => {
        // The folder itself was moved or deleted: the watch follows the old one and is of no more use.
        if (event === "rename" && (name === null || folder.endsWith(`/${name}`))) drop(watcher);
        this.#touched();
      });
      // Out of watches, or the folder is gone: looking every half second goes on.
      watcher.on("error", () => drop(watcher));
      this.#watchers.set(folder, watcher);
    } catch {
      return; // The same, told at once.
    }
  }
}
