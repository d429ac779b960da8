import type { AnyResource } from "../config/kinds/kind-specs.ts";
import { resourceName } from "../config/resource.ts";
import type { StoreUpdate } from "../config/store/configuration-store.ts";
import { StateFile } from "../config/store/state-file.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../telemetry/log.ts";

interface SavedConfigurationOptions {
  /** `--state`. */
  readonly directory: string;
  /** Of the program. */
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The saved configuration on the status page. */
export interface SavedStatus {
  readonly path: string;
  /** When what was found at the start had been written; null where nothing usable was found. */
  readonly foundFrom: string | null;
  /** Why what was found at the start was not used; null where it was, or nothing was there. */
  readonly notUsed: string | null;
  /** Why the configuration in force could not be saved; null where it was. */
  readonly notSaved: string | null;
}

/** Keeps the configuration in force on disk, and says what became of that. Nothing here keeps the proxy from serving. */
export class SavedConfiguration {
  readonly #options: SavedConfigurationOptions;
  readonly #file: StateFile;
  #foundFromMs: number | null = null;
  #notUsed: string | null = null;
  #notSaved: string | null = null;

  constructor(options: SavedConfigurationOptions) {
    this.#options = options;
    this.#file = new StateFile(options.directory, options.version);
  }

  /** What an earlier run had in force; null where nothing usable is there. */
  load(): readonly AnyResource[] | null {
    const found = this.#file.load();
    if (found.state === "none") return null;
    if (found.state === "unusable") {
      this.#notUsed = found.reason;
      this.#options.log.error("saved configuration not used", { file: this.#file.path, reason: found.reason });
      return null;
    }
    this.#foundFromMs = found.savedAtMs;
    return found.resources;
  }

  /** Names, after the first read, every object that is in force only because it was kept on disk. */
  tellStale(update: StoreUpdate): void {
    const since = isoTime(this.#foundFromMs);
    for (const { identity, lastGood, file, line } of update.statuses) {
      if (identity === null || lastGood?.source !== "disk") continue;
      const object = resourceName({ kind: identity.kind, metadata: identity });
      this.#options.log.warn("configuration object kept from disk", { stale: true, since, object, file, line });
    }
  }

  /** Saves in the background; a failure is told once, and a later success as well. */
  save(resources: readonly AnyResource[]): void {
    this.#file.save(resources, this.#options.clock.wallMs(), (error) => this.#onSaved(error));
  }

  /** Resolves when nothing is being written any more. */
  settled(): Promise<void> {
    return this.#file.settled();
  }

  get status(): SavedStatus {
    return { path: this.#file.path, foundFrom: isoTime(this.#foundFromMs), notUsed: this.#notUsed, notSaved: this.#notSaved };
  }

  #onSaved(error: Error | null): void {
    const reason = error?.message ?? null;
    if (reason === this.#notSaved) return;
    this.#notSaved = reason;
    const file = this.#file.path;
    if (reason === null) this.#options.log.info("configuration saved again", { file });
    else this.#options.log.error("configuration not saved", { file, reason });
  }
}

function isoTime(wallMs: number | null): string | null {
  return wallMs === null ? null : new Date(wallMs).toISOString();
}
