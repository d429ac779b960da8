import type { Snapshot } from "./snapshot.ts";

/*
 * What two snapshots have in common, and what they have not. A snapshot is plain data, and parts of it are compared as
 * such, so that a field somebody adds to it needs nothing here. Elements of two lists are paired by name, or by address
 * and port; a pairing that is wrong costs bytes, never correctness.
 */

/** How one part of a snapshot becomes another; plain data, for structured clone. */
export type PartDelta =
  | { readonly kind: "put"; readonly value: unknown }
  | { readonly kind: "fields"; readonly changed: readonly (readonly [key: string, delta: PartDelta])[]; readonly removed: readonly string[] }
  | { readonly kind: "list"; readonly runs: readonly ListRun[] };

/** `keep`: elements of the old list; `change`: one of them, changed; `put`: elements that are new. */
export type ListRun =
  | { readonly kind: "keep"; readonly from: number; count: number }
  | { readonly kind: "change"; readonly at: number; readonly delta: PartDelta }
  | { readonly kind: "put"; readonly values: unknown[] };

/** How one snapshot becomes the next. */
export interface SnapshotDelta {
  /** Version of the snapshot it applies to. */
  readonly base: number;
  readonly root: PartDelta;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * A snapshot equal to `next` in which every part that `old` has, too, is the object of `old`, at any depth: one endpoint
 * that changed leaves all other clusters, endpoints, tables and routes the objects they were. Changes neither.
 */
export function shareUnchanged(old: Snapshot, next: Snapshot): Snapshot {
  return share(old, next) as Snapshot;
}

/** What to send to somebody who has `old`. Parts count as unchanged if they are the same object: see `shareUnchanged`. */
export function snapshotDelta(old: Snapshot, next: Snapshot): SnapshotDelta {
  return { base: old.version, root: deltaOf(old, next) };
}

/**
 * The snapshot that `delta` makes of `old`; unchanged parts are the objects of `old`.
 *
 * @throws Error when `delta` was made for another version: obeying it would make a snapshot that nobody wrote.
 */
export function applySnapshotDelta(old: Snapshot, delta: SnapshotDelta): Snapshot {
  if (old.version !== delta.base) throw new Error(`a change of snapshot ${delta.base} cannot be applied to ${old.version}`);
  return applyDelta(old, delta.root) as Snapshot;
}

function share(old: unknown, next: unknown): unknown {
  if (old === next || !isObject(old) || !isObject(next)) return next;
  if (Array.isArray(next)) return Array.isArray(old) ? shareList(old, next) : next;
  return Array.isArray(old) ? next : shareFields(old as Fields, next as Fields);
}

function shareFields(old: Fields, next: Fields): Fields {
  const keys = Object.keys(next);
  let isSame = keys.length === Object.keys(old).length;
  let copy: Record<string, unknown> | null = null;
  for (const key of keys) {
    const before = own(old, key);
    const after = next[key];
    const shared = share(before, after);
    if (shared !== before || (before === undefined && !Object.hasOwn(old, key))) isSame = false;
    if (shared !== after) setOwn(copy ??= { ...next }, key, shared);
  }
  return isSame ? old : copy ?? next;
}

function shareList(old: readonly unknown[], next: readonly unknown[]): readonly unknown[] {
  const pairing = new Pairing(old);
  let isSame = old.length === next.length;
  let copy: unknown[] | null = null;
  for (let index = 0; index < next.length; index++) {
    const after = next[index];
    const at = pairing.indexFor(after, index);
    const shared = at < 0 ? after : share(old[at], after);
    if (shared !== old[index]) isSame = false;
    if (shared !== after) (copy ??= [...next])[index] = shared;
  }
  return isSame ? old : copy ?? next;
}

function deltaOf(old: unknown, next: unknown): PartDelta {
  if (!isObject(old) || !isObject(next) || Array.isArray(old) !== Array.isArray(next)) return { kind: "put", value: next };
  return Array.isArray(old) ? listDelta(old, next as readonly unknown[]) : fieldsDelta(old as Fields, next as Fields);
}

function fieldsDelta(old: Fields, next: Fields): PartDelta {
  const changed: [string, PartDelta][] = [];
  for (const [key, value] of Object.entries(next)) {
    const before = own(old, key);
    if (before !== value || (value === undefined && !Object.hasOwn(old, key))) changed.push([key, deltaOf(before, value)]);
  }
  return { kind: "fields", changed, removed: Object.keys(old).filter((key) => !Object.hasOwn(next, key)) };
}

function listDelta(old: readonly unknown[], next: readonly unknown[]): PartDelta {
  // Values are cheaper to send than to say where they were.
  if (!next.every(isObject)) return { kind: "put", value: next };
  const pairing = new Pairing(old);
  const runs: ListRun[] = [];
  for (let index = 0; index < next.length; index++) {
    const after = next[index];
    const at = pairing.indexFor(after, index);
    const last = runs.at(-1);
    if (at >= 0 && old[at] === after) {
      if (last?.kind === "keep" && last.from + last.count === at) last.count++;
      else runs.push({ kind: "keep", from: at, count: 1 });
    } else if (at >= 0) {
      runs.push({ kind: "change", at, delta: deltaOf(old[at], after) });
    } else if (last?.kind === "put") {
      last.values.push(after);
    } else {
      runs.push({ kind: "put", values: [after] });
    }
  }
  return { kind: "list", runs };
}

function applyDelta(old: unknown, delta: PartDelta): unknown {
  if (delta.kind === "put") return delta.value;
  if (delta.kind === "list") return applyRuns(old as readonly unknown[], delta.runs);
  const result: Record<string, unknown> = { ...old as Fields };
  for (const [key, change] of delta.changed) setOwn(result, key, applyDelta(own(result, key), change));
  for (const key of delta.removed) delete result[key];
  return result;
}

function applyRuns(old: readonly unknown[], runs: readonly ListRun[]): unknown[] {
  const result: unknown[] = [];
  for (const run of runs) {
    if (run.kind === "change") result.push(applyDelta(old[run.at], run.delta));
    else if (run.kind === "put") for (const value of run.values) result.push(value);
    else for (let at = run.from; at < run.from + run.count; at++) result.push(old[at]);
  }
  return result;
}

/** Which element of an old list one of a new list was, most often the one in the same place. */
class Pairing {
  readonly #old: readonly unknown[];
  #byKey: Map<string, number> | null = null;

  constructor(old: readonly unknown[]) {
    this.#old = old;
  }

  /** -1: none. An element without a key is paired with the one in its place. */
  indexFor(element: unknown, index: number): number {
    const key = keyOf(element);
    const there = index < this.#old.length ? keyOf(this.#old[index]) : undefined;
    if (there === key) return index;
    if (key === null) return -1;
    this.#byKey ??= this.#index();
    return this.#byKey.get(key) ?? -1;
  }

  #index(): Map<string, number> {
    const byKey = new Map<string, number>();
    this.#old.forEach((element, index) => {
      const key = keyOf(element);
      if (key !== null) byKey.set(key, index);
    });
    return byKey;
  }
}

function keyOf(element: unknown): string | null {
  if (!isObject(element)) return null;
  const { name, address, port } = element as { name?: unknown; address?: unknown; port?: unknown };
  if (typeof name === "string") return name;
  return typeof address === "string" ? `${address} ${String(port)}` : null;
}

/** Labels are the user's words, and one of them may be `__proto__`. */
function own(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}

function setOwn(fields: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") Object.defineProperty(fields, key, { value, writable: true, enumerable: true, configurable: true });
  else fields[key] = value;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
