import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";

import type { FileDigest, FileState } from "../config/compile/originated-tls.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

/** Two looks a second keep the promise of one second, and cost a `stat` for each file. */
const POLL_MS = 400;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** One file that the configuration names. */
interface KnownFile {
  /** Changes with the file: place on disk, size and time. */
  readonly stamp: string;
  readonly state: FileState;
}

/**
 * The files that TLS origination names (`caCertificates`, `clientCertificate`, `privateKey`, `caCrl`), watched on the control
 * thread. What a snapshot knows of them is a digest; the data threads read them when they first need them, and anew when
 * the digest has changed.
 */
export class TlsFiles {
  readonly #timers: TimerWheel;
  readonly #changed: () => void;
  #known = new Map<string, KnownFile>();
  /** Asked for by the compilation under way. */
  #asked = new Map<string, KnownFile>();
  #timer: Timer | null = null;
  /** Stamps of the last look that differed from those compiled, joined; null: there was none. */
  #unsettled: string | null = null;

  /** `changed` is told when any of the files is another one than the last compilation saw. */
  constructor(timers: TimerWheel, changed: () => void) {
    this.#timers = timers;
    this.#changed = changed;
  }

  /** For one compilation; `compiled` must follow. */
  readonly digest: FileDigest = (path) => {
    const file = this.#asked.get(path) ?? this.#look(path);
    this.#asked.set(path, file);
    return file.state;
  };

  /** What was asked for since the last call is watched from now on, and nothing else. */
  compiled(): void {
    this.#known = this.#asked;
    this.#asked = new Map();
    this.#unsettled = null;
    if (this.#known.size > 0) this.#schedule();
    else this.stop();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer ??= this.#timers.schedule(POLL_MS, () => {
      this.#timer = null;
      this.#schedule();
      this.#compare();
    });
  }

  /** Files that changed count when they stand still: whoever rotates writes certificate and key one after the other. */
  #compare(): void {
    const stamps = [...this.#known.keys()].map(stampOf);
    const seen = stamps.join("\n");
    const hasChanged = [...this.#known.values()].some(({ stamp }, index) => stamps[index] !== stamp);
    const isSettled = seen === this.#unsettled;
    this.#unsettled = hasChanged ? seen : null;
    if (hasChanged && isSettled) this.#changed();
  }

  /** A file that stands as it was is not read again. */
  #look(path: string): KnownFile {
    const stamp = stampOf(path);
    const known = this.#known.get(path);
    if (known !== undefined && known.stamp === stamp) return known;
    const content = read(path);
    return { stamp, state: typeof content === "string" ? { digest: content, problem: null } : { digest: known?.state.digest ?? null, ...content } };
  }
}

function stampOf(path: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

/** The digest of a file's content. */
function read(path: string): string | { readonly problem: string } {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) return { problem: `is larger than ${MAX_FILE_BYTES} bytes` };
    const content = readFileSync(path);
    if (!content.includes("-----BEGIN ")) return { problem: "holds no PEM" };
    return createHash("sha256").update(content).digest("hex").slice(0, 16);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { problem: code === "ENOENT" ? "does not exist" : `cannot be read (${code ?? "unknown error"})` };
  }
}
