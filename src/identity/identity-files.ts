import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { type IdentityMaterial, isSameIdentity, type TrustBundle } from "./identity-material.ts";
import { IDENTITY_FILES, loadMaterial } from "./load-material.ts";
import type { IdentityProblem } from "./load-material.ts";
import { BUNDLES_FOLDER, type FileContent, isBundleFile, TrustBundleFiles } from "./trust-bundle-files.ts";

/** Two looks a second keep the promise of one second, and cost a few file reads. */
const POLL_MS = 400;
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_BUNDLES = 256;

export interface IdentityFilesOptions {
  /** Folder with `cert-chain.pem`, `key.pem`, `root-cert.pem` and, for federated trust domains, `bundles/`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  /** A new identity was read and checked; called by `start` too, if there is one. */
  readonly onMaterial: (material: IdentityMaterial) => void;
  /** What is wrong with the files now, whenever that changed; empty once all is well. The old identity serves on. */
  readonly onProblems: (problems: readonly IdentityProblem[]) => void;
}

/** Content of the files by name within the folder; a file that could not be read has its problem instead. */
type Contents = Map<string, FileContent>;

/**
 * Watches the certificate folder on the control thread. It looks at the content of the files twice a second rather
 * than asking the kernel for changes: that needs no inotify instance (of which a node has few), and sees the symlink
 * farms of Kubernetes, atomic renames and files overwritten in place alike.
 */
export class IdentityFiles {
  readonly #options: IdentityFilesOptions;
  readonly #bundles = new TrustBundleFiles();
  #timer: Timer | null = null;
  #generation = 0;
  #material: IdentityMaterial | null = null;
  #seen = "";
  #triedAs = "";
  #reported = "[]";

  constructor(options: IdentityFilesOptions) {
    this.#options = options;
  }

  /** The identity in force, null before the first. */
  get material(): IdentityMaterial | null {
    return this.#material;
  }

  /** Reads the files now and goes on watching them. */
  start(): void {
    this.#look(true);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Reads the files at once, for a reload somebody asked for. */
  reload(): void {
    this.#look(true);
  }

  #schedule(): void {
    this.#timer = this.#options.timers.schedule(POLL_MS, () => {
      this.#look(false);
      this.#schedule();
    });
  }

  /**
   * Files that changed and are good take effect at once. What is wrong is only said when it is still there at the
   * next look: whoever rotates writes certificate and key one after the other.
   */
  #look(isFinal: boolean): void {
    const contents = readContents(this.#options.directory);
    const fingerprint = createHash("sha256").update(JSON.stringify([...contents])).digest("hex");
    const isSettled = isFinal || fingerprint === this.#seen;
    this.#seen = fingerprint;
    // An expired or not yet valid certificate may become good (the clock) without changing: problems are tried again.
    if (fingerprint === this.#triedAs && this.#reported === "[]") return;
    const problems: IdentityProblem[] = [];
    const federated = this.#bundles.read(contents, problems);
    const loaded = this.#load(contents, federated);
    if ("file" in loaded) problems.push(loaded);
    else {
      const own = ownBundleFile(contents, loaded.trustDomain);
      if (own !== null) problems.push(own);
      this.#adopt(loaded);
    }
    if (problems.length === 0 || isSettled) {
      this.#triedAs = fingerprint;
      this.#report(problems);
    }
  }

  #load(contents: Contents, federated: readonly TrustBundle[]): IdentityMaterial | IdentityProblem {
    const texts: string[] = [];
    for (const file of Object.values(IDENTITY_FILES)) {
      const content = contents.get(file);
      if (content === undefined || "problem" in content) return { file, reason: content?.problem ?? "does not exist" };
      texts.push(content.text);
    }
    const [certificateChain = "", privateKey = "", roots = ""] = texts;
    return loadMaterial({ certificateChain, privateKey, roots, federated }, this.#generation + 1, this.#options.clock.wallMs());
  }

  #adopt(material: IdentityMaterial): void {
    if (this.#material !== null && isSameIdentity(material, this.#material)) return;
    this.#generation = material.generation;
    this.#material = material;
    this.#options.onMaterial(material);
  }

  #report(problems: readonly IdentityProblem[]): void {
    const text = JSON.stringify(problems);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#options.onProblems(problems);
  }
}

/** A bundle of our own domain could only contradict `root-cert.pem`. */
function ownBundleFile(contents: Contents, trustDomain: string): IdentityProblem | null {
  const file = [`${trustDomain}.pem`, `${trustDomain}.json`].map((name) => `${BUNDLES_FOLDER}/${name}`).find((name) => contents.has(name));
  return file === undefined ? null : { file, reason: `is for our own trust domain, whose roots are those of ${IDENTITY_FILES.roots}; it is not used` };
}

function readContents(directory: string): Contents {
  const contents: Contents = new Map();
  for (const file of Object.values(IDENTITY_FILES)) contents.set(file, readContent(join(directory, file)));
  let names: string[] = [];
  try {
    names = readdirSync(join(directory, BUNDLES_FOLDER)).filter(isBundleFile).toSorted();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // No such folder: nothing is federated.
    if (code !== "ENOENT") contents.set(BUNDLES_FOLDER, { problem: unreadable(code) });
  }
  const [tooMany] = names.splice(MAX_BUNDLES);
  if (tooMany !== undefined) contents.set(`${BUNDLES_FOLDER}/${tooMany}`, { problem: `and what follows it is not read: there are more than ${MAX_BUNDLES} bundles` });
  for (const name of names) contents.set(`${BUNDLES_FOLDER}/${name}`, readContent(join(directory, BUNDLES_FOLDER, name)));
  return contents;
}

function readContent(path: string): FileContent {
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES) return { problem: `is larger than ${MAX_FILE_BYTES} bytes` };
    return { text: readFileSync(path, "latin1") };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { problem: code === "ENOENT" ? "does not exist" : unreadable(code) };
  }
}

function unreadable(code: string | undefined): string {
  return `cannot be read (${code ?? "unknown error"})`;
}
