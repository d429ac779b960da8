import { describe, expect, it } from "vitest";
import { clusterSpec, FakeMesh } from "./fakes.ts";

const NAME = clusterSpec([]).name;
const [ONE, TWO] = ["10.0.0.1:9080", "10.0.0.2:9080"];

/** Which endpoints the next requests go to. */
function picked(mesh: FakeMesh): string[] {
  const first = mesh.dials.length;
  for (let index = 0; index < 8; index++) mesh.acquire();
  return [...new Set(mesh.dials.slice(first).map(({ name }) => name))].toSorted();
}

describe("endpoints that active health checks speak against", () => {
  it("are not picked, and are again when the checks say so", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"]));
    expect(picked(mesh)).toEqual([ONE, TWO]);
    mesh.clusters.applyHealth(NAME, ["10.0.0.1:9080"]);
    expect(picked(mesh)).toEqual([TWO]);
    expect(mesh.cluster.state().endpoints.map(({ isFailingChecks }) => isFailingChecks)).toEqual([true, false]);
    mesh.clusters.applyHealth(NAME, []);
    expect(picked(mesh)).toEqual([ONE, TWO]);
  });

  it("stay so under a new snapshot, and when they come to the cluster later", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.2"]));
    mesh.acquire();
    mesh.clusters.applyHealth(NAME, ["10.0.0.1:9080"]);
    mesh.clusters.apply([clusterSpec(["10.0.0.1", "10.0.0.2"])]);
    expect(picked(mesh)).toEqual([TWO]);
  });

  it("are known to a cluster that is made later, and shown before", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1", "10.0.0.2"]));
    mesh.clusters.applyHealth(NAME, ["10.0.0.1:9080"]);
    expect(mesh.clusters.state()[0]?.endpoints.map(({ isFailingChecks }) => isFailingChecks)).toEqual([true, false]);
    expect(picked(mesh)).toEqual([TWO]);
  });

  it("leave nothing to pick when all of them are", () => {
    const mesh = new FakeMesh(clusterSpec(["10.0.0.1"]));
    mesh.clusters.applyHealth(NAME, ["10.0.0.1:9080"]);
    expect(mesh.acquire().error?.code).toBe("no_healthy_upstream");
  });
});
