import { isDeepStrictEqual } from "node:util";
import type { AnyResource } from "../kinds/kind-specs.ts";
import type { Problem } from "../problem.ts";
import { problemAt, severest } from "../problem.ts";
import type { ObjectIdentity, ParsedFile, ParsedObject, ParsedResources, RefusedMesh, RefusedOrigination } from "../source/parsed.ts";
import { describeRejectedMesh, rejectedMesh } from "./rejected-mesh.ts";

/** An object that was refused. */
export interface RejectedObject {
  /** Null where the file does not even tell which object it is. */
  readonly identity: ObjectIdentity | null;
  /** As far as they can be told, also without identity. */
  readonly kind: string | null;
  readonly namespace: string | null;
  readonly file: string;
  readonly line: number;
  /** See `ParsedObject.selector`. */
  readonly selector: Readonly<Record<string, string>> | null;
  /** See `ParsedObject.origination`. */
  readonly origination: RefusedOrigination | null;
  /** See `ParsedObject.mesh`. */
  readonly mesh: RefusedMesh | null;
  /** True: an earlier version of it is still in force. False: nothing stands for it. */
  readonly hasLastGood: boolean;
}

/** What became of one object. */
export interface ObjectStatus {
  readonly identity: ObjectIdentity | null;
  /**
   * - `applied`: as it is written now.
   * - `quarantined`: an earlier version is in force, since what is written now cannot be.
   * - `rejected`: not in force at all.
   */
  readonly state: "applied" | "quarantined" | "rejected";
  readonly file: string;
  readonly line: number;
  /** What is in force of a quarantined object; null for all others. */
  readonly lastGood: LastGood | null;
}

/** The version of a quarantined object that is in force. */
export interface LastGood {
  readonly file: string;
  readonly line: number;
  /** `disk`: this run has not seen it anywhere else. */
  readonly source: "memory" | "disk";
}

/** A file that could not be read. */
export interface UnreadableFile {
  readonly file: string;
  /** True: objects read from it earlier are still in force. False: nobody knows what it holds. */
  readonly hasLastGood: boolean;
  /** True: there is no such path, so it hides nothing. */
  readonly isMissing: boolean;
}

/** What is in force after an update. */
export interface StoreUpdate {
  /** Sorted by kind, namespace, name; an object equal to the last one is the same reference. */
  readonly resources: readonly AnyResource[];
  /** All that the source and the store have to say, in the order of files and lines. */
  readonly problems: readonly Problem[];
  readonly statuses: readonly ObjectStatus[];
  /** Objects that nothing stands for, or an earlier version. A refused policy without one must fail closed. */
  readonly rejected: readonly RejectedObject[];
  readonly unreadable: readonly UnreadableFile[];
  /** Whether `resources`, `rejected` or `unreadable` differ from the update before. */
  readonly changed: boolean;
}

const keyOf = (identity: ObjectIdentity): string => `${identity.kind} ${identity.namespace}/${identity.name}`;
const keyOfResource = (resource: AnyResource): string => `${resource.kind} ${resource.metadata.namespace}/${resource.metadata.name}`;
const isBelow = (file: string, parent: string): boolean => file === parent || file.startsWith(parent.endsWith("/") ? parent : `${parent}/`);
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** One update in the making. */
class Generation {
  readonly good = new Map<string, AnyResource>();
  readonly problems: Problem[] = [];
  readonly statuses: ObjectStatus[] = [];
  readonly rejected: RejectedObject[] = [];
  readonly unreadable: UnreadableFile[] = [];
  readonly #last: ReadonlyMap<string, AnyResource>;
  readonly #taken = new Map<string, ParsedObject>();
  readonly #fromDisk: WeakSet<AnyResource>;

  constructor(last: ReadonlyMap<string, AnyResource>, fromDisk: WeakSet<AnyResource>) {
    this.#last = last;
    this.#fromDisk = fromDisk;
  }

  /** A file whose objects are known: each is taken over, or its last good version stays. */
  takeFile(file: ParsedFile): void {
    this.problems.push(...file.problems);
    for (const object of file.objects) this.#takeObject(object);
  }

  /** After every file: what is kept because nobody can tell whether it is gone. */
  keep(files: readonly ParsedFile[]): void {
    const obscure = files.filter((file) => !file.isReadable || file.objects.some((object) => object.identity === null));
    for (const file of files) {
      if (file.isReadable) continue;
      const hasLastGood = [...this.#last.values()].some((resource) => isBelow(resource.file, file.file));
      this.unreadable.push({ file: file.file, hasLastGood, isMissing: file.isMissing });
    }
    for (const [key, resource] of this.#last) {
      if (this.good.has(key) || this.#taken.has(key)) continue;
      const file = obscure.find((candidate) => isBelow(resource.file, candidate.file));
      if (file !== undefined) this.#keepOne(key, resource, file);
    }
  }

  /** Once all is known: what becomes of the mesh's settings. */
  warnOfRejectedMesh(): void {
    const refused = rejectedMesh(this.rejected, [...this.good.values()]);
    if (refused === null) return;
    const { identity, file, line, mesh } = refused;
    const resource = identity === null ? null : keyOf(identity);
    this.problems.push({ severity: "warning", file, line, col: 1, resource, field: null, message: `until it is mended, ${describeRejectedMesh(mesh)}` });
  }

  #keepOne(key: string, resource: AnyResource, file: ParsedFile): void {
    this.good.set(key, resource);
    const identity = { kind: resource.kind, namespace: resource.metadata.namespace, name: resource.metadata.name };
    const lastGood = this.#lastGood(resource);
    this.statuses.push({ identity, state: "quarantined", file: resource.file, line: resource.line, lastGood });
    const why = file.isReadable ? "the file holds an object that cannot be told which it is" : "the file cannot be read";
    this.problems.push(problemAt("warning", resource, [], `its last good version${fromWhere(lastGood)} stays in force, because ${why}`));
  }

  #lastGood(resource: AnyResource): LastGood {
    return { file: resource.file, line: resource.line, source: this.#fromDisk.has(resource) ? "disk" : "memory" };
  }

  #takeObject(object: ParsedObject): void {
    this.problems.push(...object.problems);
    const { identity, kind, namespace, resource, file, line, selector, origination, mesh } = object;
    if (identity === null) {
      const hasLastGood = [...this.#last.values()].some((last) => last.file === file && (kind === null || last.kind === kind));
      this.rejected.push({ identity, kind, namespace, file, line, selector, origination, mesh, hasLastGood });
      if (!hasLastGood) this.#warnOfClosed(object);
      this.statuses.push({ identity, state: "rejected", file, line, lastGood: null });
      return;
    }
    const key = keyOf(identity);
    const first = this.#taken.get(key);
    if (first !== undefined) return this.#refuseTwin(object, identity, first);
    this.#taken.set(key, object);
    if (resource !== null) {
      const last = this.#last.get(key);
      const isSame = last !== undefined && !this.#fromDisk.has(last) && isDeepStrictEqual(last, resource);
      this.good.set(key, isSame ? last : resource);
      this.statuses.push({ identity, state: "applied", file, line, lastGood: null });
      return;
    }
    const last = this.#last.get(key);
    if (last !== undefined) {
      this.good.set(key, last);
      this.problems.push({ severity: "warning", file, line, col: 1, resource: key, field: null, message: `its last good version, from ${last.file}:${last.line}${fromWhere(this.#lastGood(last))}, stays in force` });
    } else this.#warnOfClosed(object);
    this.rejected.push({ identity, kind, namespace, file, line, selector, origination, mesh, hasLastGood: last !== undefined });
    const lastGood = last === undefined ? null : this.#lastGood(last);
    this.statuses.push({ identity, state: lastGood === null ? "rejected" : "quarantined", file, line, lastGood });
  }

  /** Said of a rule about TLS that nothing stands for. */
  #warnOfClosed({ identity, origination, file, line }: ParsedObject): void {
    if (origination === null) return;
    const to = origination.host === null ? "hosts without other TLS settings, since its own cannot be read," : origination.host;
    const resource = identity === null ? null : keyOf(identity);
    this.problems.push({ severity: "warning", file, line, col: 1, resource, field: null, message: `until it is mended, connections to ${to} are refused, never sent in plain text` });
  }

  #refuseTwin(object: ParsedObject, identity: ObjectIdentity, first: ParsedObject): void {
    const { file, line } = object;
    const message = `is defined already in ${first.file}:${first.line}; this one is not used`;
    this.problems.push({ severity: "error", file, line, col: 1, resource: keyOf(identity), field: null, message });
    this.statuses.push({ identity, state: "rejected", file, line, lastGood: null });
  }
}

/** Said where a good version was not seen in this run. */
function fromWhere(lastGood: LastGood): string {
  return lastGood.source === "disk" ? " (kept on disk by an earlier run)" : "";
}

/**
 * Holds what is in force. Bad input changes nothing: an object that is refused keeps its last good version while all
 * others apply, a file that cannot be read keeps all its objects, and only what is provably gone is removed.
 */
export class ConfigurationStore {
  #good: ReadonlyMap<string, AnyResource> = new Map();
  #last: Pick<StoreUpdate, "rejected" | "unreadable"> = { rejected: [], unreadable: [] };
  readonly #fromDisk: WeakSet<AnyResource>;

  /** @param saved what an earlier run had in force: the last good versions until better ones are read. */
  constructor(saved: readonly AnyResource[] = []) {
    this.#good = new Map(saved.map((resource) => [keyOfResource(resource), resource]));
    this.#fromDisk = new WeakSet(saved);
  }

  /** Takes what a source read and answers with what is in force from now on. Never throws. */
  update(parsed: ParsedResources): StoreUpdate {
    const generation = new Generation(this.#good, this.#fromDisk);
    const files = this.#withoutEmptied(parsed.files);
    for (const file of files) generation.takeFile(file);
    generation.keep(files);
    generation.warnOfRejectedMesh();
    const resources = [...generation.good].sort(([a], [b]) => compare(a, b)).map(([, resource]) => resource);
    const { rejected, unreadable, statuses } = generation;
    const changed = !this.#isSame(resources) || !isDeepStrictEqual(this.#last, { rejected, unreadable });
    this.#good = new Map(resources.map((resource) => [keyOfResource(resource), resource]));
    this.#last = { rejected, unreadable };
    return { resources, problems: inOrder([...generation.problems, ...parsed.problems]), statuses, rejected, unreadable, changed };
  }

  /**
   * A file that held objects and is empty now was cut off while being written, as `>` of a shell does, and is taken
   * for unreadable. To remove its objects, the file is deleted.
   */
  #withoutEmptied(files: readonly ParsedFile[]): ParsedFile[] {
    const before = new Set([...this.#good.values()].map((resource) => resource.file));
    return files.map((file) => {
      if (!file.isReadable || !file.isEmpty || !before.has(file.file)) return file;
      const message = "the file is empty; its objects stay in force until it is deleted or has content again";
      return { ...file, isReadable: false, problems: [{ severity: "error", file: file.file, line: 0, col: 0, resource: null, field: null, message }] };
    });
  }

  #isSame(resources: readonly AnyResource[]): boolean {
    return resources.length === this.#good.size && resources.every((resource) => this.#good.get(keyOfResource(resource)) === resource);
  }
}

function inOrder(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => compare(a.file, b.file) || a.line - b.line || a.col - b.col || severest(a.severity, b.severity));
}
