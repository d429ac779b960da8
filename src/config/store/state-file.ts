import { createHash } from "node:crypto";
import { join } from "node:path";
import type { AnyResource } from "../kinds/kind-specs.ts";
import { readBounded, replaceFile } from "./durable-file.ts";

const NAME = "last-good-configuration.json";
const MAGIC = "outrider last good configuration";
/** Grows when the layout of the file changes; objects are bound to the program's version besides. */
const FORMAT = 1;
/** A configuration of four thousand objects takes about 10 MB. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;
const MAX_HEADER_BYTES = 4096;

/** First line of the file; the second is the objects. */
interface Header {
  readonly magic: string;
  readonly format: number;
  /** Of the program: objects are kept as validated, and what that means may change between versions. */
  readonly version: string;
  readonly savedAtMs: number;
  /** Of the second line, in hexadecimal. */
  readonly sha256: string;
}

/** What was found at the start. */
export type LoadedState =
  | { readonly state: "none" }
  | { readonly state: "loaded"; readonly savedAtMs: number; readonly resources: readonly AnyResource[] }
  | { readonly state: "unusable"; readonly reason: string };

/**
 * The last good configuration in a folder of its own, for a start that finds the configuration broken. Only its owner may
 * read it: a configuration may hold keys of others.
 */
export class StateFile {
  readonly path: string;
  readonly #version: string;
  #savedDigest = "";
  #next: { readonly resources: readonly AnyResource[]; readonly savedAtMs: number; readonly tell: (error: Error | null) => void } | null = null;
  #writing: Promise<void> | null = null;

  /** @param version of the program: what another one wrote is not used. */
  constructor(directory: string, version: string) {
    this.path = join(directory, NAME);
    this.#version = version;
  }

  /** What an earlier run left. Never throws. */
  load(): LoadedState {
    let bytes: Buffer;
    try {
      bytes = readBounded(this.path, MAX_STATE_BYTES + MAX_HEADER_BYTES);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return code === "ENOENT" ? { state: "none" } : { state: "unusable", reason: code === undefined ? message : `cannot be read (${code})` };
    }
    return this.#parse(bytes);
  }

  #parse(bytes: Buffer): LoadedState {
    const end = bytes.indexOf("\n");
    const header = parseHeader(bytes.subarray(0, Math.max(end, 0)));
    if (header === null) return { state: "unusable", reason: "was not written by Outrider" };
    if (header.format !== FORMAT) return { state: "unusable", reason: `has format ${header.format}, this version of Outrider reads ${FORMAT}` };
    if (header.version !== this.#version) return { state: "unusable", reason: `was written by Outrider ${header.version}, this is ${this.#version}` };
    const body = bytes.subarray(end + 1);
    if (digestOf(body) !== header.sha256) return { state: "unusable", reason: "is damaged: its checksum is not that of its content" };
    this.#savedDigest = header.sha256;
    return { state: "loaded", savedAtMs: header.savedAtMs, resources: decode(body.toString("utf8")) };
  }

  /**
   * Writes in the background; of several calls while a write is under way the last counts. `tell` learns of the end of a
   * write, of an error only; what is on disk already is not written again.
   */
  save(resources: readonly AnyResource[], savedAtMs: number, tell: (error: Error | null) => void): void {
    this.#next = { resources, savedAtMs, tell };
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Not in the call that asks: what has changed goes to the data threads first.
    await Promise.resolve();
    while (this.#next !== null) {
      const { resources, savedAtMs, tell } = this.#next;
      this.#next = null;
      let failure: Error | null = null;
      try {
        await this.#write(resources, savedAtMs);
      } catch (error) {
        failure = error as Error;
      }
      tell(failure);
    }
    this.#writing = null;
  }

  async #write(resources: readonly AnyResource[], savedAtMs: number): Promise<void> {
    const body = Buffer.from(encode(resources), "utf8");
    const sha256 = digestOf(body);
    if (sha256 === this.#savedDigest) return;
    if (body.length > MAX_STATE_BYTES) throw new Error(`it would be larger than ${MAX_STATE_BYTES} bytes`);
    const header: Header = { magic: MAGIC, format: FORMAT, version: this.#version, savedAtMs, sha256 };
    await replaceFile(this.path, Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), body]));
    this.#savedDigest = sha256;
  }
}

function parseHeader(bytes: Buffer): Header | null {
  try {
    const header = JSON.parse(bytes.toString("utf8")) as Partial<Header> | null;
    return header?.magic === MAGIC && typeof header.format === "number" ? header as Header : null;
  } catch {
    return null;
  }
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Positions are the only Map of a resource; all else is JSON already. */
function encode(resources: readonly AnyResource[]): string {
  return JSON.stringify(resources.map((resource) => ({ ...resource, positions: [...resource.positions] })));
}

function decode(text: string): AnyResource[] {
  const objects = JSON.parse(text) as (Omit<AnyResource, "positions"> & { readonly positions: [string, number][] })[];
  return objects.map((object) => ({ ...object, positions: new Map(object.positions) }) as AnyResource);
}
