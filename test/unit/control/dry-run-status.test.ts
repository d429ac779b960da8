import { expect, it } from "vitest";
import { dryRunStatuses } from "../../../src/control/dry-run-status.ts";
import type { DryRunReport } from "../../../src/filter/rbac-dry-runs.ts";

const report = (policy: string, wouldDeny: number, atMs: number | null): DryRunReport => ({
  policy, action: "DENY", file: "f.yaml", line: 3, wouldDeny, wouldAllow: 1, lastDenied: atMs === null ? null : { atMs, peer: null, port: 80, request: `at ${atMs}` },
});

it("sums what the threads counted and shows the newest denial of each policy", () => {
  expect(dryRunStatuses([[report("a/b", 2, 1000), report("a/c", 0, null)], [report("a/b", 3, 2000), report("a/c", 1, 500)], [report("a/b", 0, null)]])).toEqual([
    { policy: "a/b", action: "DENY", file: "f.yaml", line: 3, wouldDeny: 5, wouldAllow: 3, lastDenied: { at: "1970-01-01T00:00:02.000Z", peer: null, port: 80, request: "at 2000" } },
    { policy: "a/c", action: "DENY", file: "f.yaml", line: 3, wouldDeny: 1, wouldAllow: 2, lastDenied: { at: "1970-01-01T00:00:00.500Z", peer: null, port: 80, request: "at 500" } },
  ]);
  expect(dryRunStatuses([])).toEqual([]);
});
