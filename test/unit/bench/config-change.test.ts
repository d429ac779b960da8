import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { countObjects } from "../../../bench/config-change.ts";
import { measurePhases } from "../../../bench/config-phases.ts";
import { writeMesh, writeService } from "../../../bench/mesh-at-scale.ts";
import { shareUnchanged } from "../../../src/config/snapshot-delta.ts";
import type { Snapshot } from "../../../src/config/snapshot.ts";

const SIZE = { services: 30, endpointsPerService: 5, virtualServices: 30 };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-test-"));
  writeMesh(folder, SIZE);
});
afterEach(() => rmSync(folder, { recursive: true }));

const snapshotOf = (): Snapshot => measurePhases(folder).output.snapshot;

describe("a mesh as the bench has it", () => {
  it("is valid, and nothing of it is a problem", () => {
    const { objects, output } = measurePhases(folder);
    expect(output.problems).toEqual([]);
    expect(objects).toBe(93);
    const { clusters, outbound } = output.snapshot;
    expect(clusters.filter(({ name }) => name.startsWith("outbound|8080||service-")).map(({ endpoints }) => endpoints.length)).toEqual(Array(30).fill(5));
    expect(outbound.routeTables.flatMap(({ virtualHosts }) => virtualHosts)).toHaveLength(31);
  });

  it("has another endpoint: every other object of the snapshot is the one it was", () => {
    const old = snapshotOf();
    writeService(folder, 7, SIZE, 1);
    const next = shareUnchanged(old, snapshotOf());
    // The snapshot, its clusters, the cluster, its endpoints and one of them; another, if the order puts it elsewhere.
    expect(countObjects(old, next).made).toBeLessThanOrEqual(6);
    const changed = next.clusters.filter((cluster, index) => cluster !== old.clusters[index]).map(({ name }) => name);
    expect(changed).toEqual(["outbound|8080||service-7.team-7.svc.cluster.local"]);
    expect(next.outbound).toBe(old.outbound);
    expect(next.inbound).toBe(old.inbound);
  });

  it("is read again as it was: no object is another", () => {
    const old = snapshotOf();
    expect(shareUnchanged(old, snapshotOf())).toBe(old);
  });
});
