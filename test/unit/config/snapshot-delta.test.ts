import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applySnapshotDelta, shareUnchanged, snapshotDelta } from "../../../src/config/snapshot-delta.ts";
import type { Snapshot } from "../../../src/config/snapshot.ts";

/** Not snapshots by their fields, but in all that matters here: plain data with a version. */
const leaf = fc.oneof(fc.constantFrom(0, 1, Infinity, "", "a", null, true, undefined), fc.string({ maxLength: 3 }));
const name = fc.constantFrom("a", "b", "c", "d", "__proto__");
const part = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    leaf,
    fc.dictionary(fc.oneof(name, fc.constantFrom("name", "address", "port")), tie("node"), { maxKeys: 4 }),
    fc.array(tie("node"), { maxLength: 4 }),
    fc.array(fc.record({ name, value: tie("node") }), { maxLength: 6 }),
    fc.array(fc.record({ address: name, port: fc.constantFrom(80, 81), weight: leaf }), { maxLength: 5 }),
  ),
})).node;
const snapshot = fc.record({ clusters: part, outbound: part, extra: part }, { requiredKeys: ["clusters"] })
  .map((fields) => structuredClone({ version: 1, ...fields }) as unknown as Snapshot);

/** A clone, and the change in it: paths to parts are drawn, so that most of a snapshot stays as it was. */
const pairs = fc.oneof(
  fc.tuple(snapshot, snapshot),
  fc.tuple(snapshot, part, fc.array(fc.nat(10), { maxLength: 4 })).map(([old, value, path]) => [old, changed(old, path, value) as Snapshot] as const),
);

function changed(value: unknown, path: readonly number[], replacement: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== "object" || value === null) return structuredClone(replacement);
  const keys = Object.keys(value).filter((key) => key !== "version");
  if (keys.length === 0) return structuredClone(value);
  const key = keys[step % keys.length] as string;
  const copy = structuredClone(value) as Record<string, unknown>;
  Object.defineProperty(copy, key, { value: changed(copy[key], rest, replacement), writable: true, enumerable: true, configurable: true });
  return copy;
}

const cloneOf = <T>(value: T): T => structuredClone(value);

describe("a snapshot and the next", () => {
  test("sharing changes nothing that can be seen, and neither of the two", () => {
    fc.assert(fc.property(pairs, ([old, next]) => {
      const before = [cloneOf(old), cloneOf(next)];
      expect(shareUnchanged(old, next)).toStrictEqual(next);
      expect([old, next]).toStrictEqual(before);
    }), { numRuns: 500 });
  });

  test("an equal snapshot is the old one, object for object", () => {
    fc.assert(fc.property(snapshot, (old) => {
      expect(shareUnchanged(old, cloneOf(old))).toBe(old);
    }), { numRuns: 200 });
  });

  test("the change, posted and applied to a copy of the old one, makes the new one", () => {
    fc.assert(fc.property(pairs, ([old, next]) => {
      const held = cloneOf(old);
      const posted = cloneOf(snapshotDelta(old, shareUnchanged(old, next)));
      expect(applySnapshotDelta(held, posted)).toStrictEqual(next);
      expect(held).toStrictEqual(old);
    }), { numRuns: 500 });
  });

  test("without sharing it is larger, and right", () => {
    fc.assert(fc.property(pairs, ([old, next]) => {
      expect(applySnapshotDelta(cloneOf(old), cloneOf(snapshotDelta(old, next)))).toStrictEqual(next);
    }), { numRuns: 200 });
  });

  test("elements that moved, because others came or went, keep their identity", () => {
    const old = { version: 1, clusters: ["a", "b", "c", "d"].map((each) => ({ name: each, endpoints: [{ address: each, port: 1 }] })) } as unknown as Snapshot;
    const next = { version: 2, clusters: ["0", "a", "c", "d", "e"].map((each) => ({ name: each, endpoints: [{ address: each, port: 1 }] })) } as unknown as Snapshot;
    const held = cloneOf(old);
    const made = applySnapshotDelta(held, cloneOf(snapshotDelta(old, shareUnchanged(old, next))));
    expect(made).toStrictEqual(next);
    expect(made.clusters[1]).toBe(held.clusters[0]);
    expect(made.clusters[2]).toBe(held.clusters[2]);
    expect(made.clusters[3]).toBe(held.clusters[3]);
  });

  test("a change of one endpoint names that endpoint only", () => {
    const made = (weight: number): unknown => ({
      version: 1,
      clusters: Array.from({ length: 100 }, (_, index) => ({
        name: `c${index}`, endpoints: [{ address: "10.0.0.1", port: 1, weight: 1 }, { address: "10.0.0.2", port: 1, weight: index === 50 ? weight : 1 }],
      })),
    });
    const [old, next] = [made(1), made(2)] as [Snapshot, Snapshot];
    const { root } = snapshotDelta(old, shareUnchanged(old, next));
    expect(root).toStrictEqual({
      kind: "fields", removed: [],
      changed: [["clusters", {
        kind: "list",
        runs: [
          { kind: "keep", from: 0, count: 50 },
          { kind: "change", at: 50, delta: {
            kind: "fields", removed: [],
            changed: [["endpoints", { kind: "list", runs: [
              { kind: "keep", from: 0, count: 1 },
              { kind: "change", at: 1, delta: { kind: "fields", removed: [], changed: [["weight", { kind: "put", value: 2 }]] } },
            ] }]],
          } },
          { kind: "keep", from: 51, count: 49 },
        ],
      }]],
    });
  });

  test("a change for another version is refused", () => {
    const at = (version: number): Snapshot => ({ version }) as Snapshot;
    expect(() => applySnapshotDelta(at(2), snapshotDelta(at(1), at(2)))).toThrow("a change of snapshot 1 cannot be applied to 2");
  });
});
