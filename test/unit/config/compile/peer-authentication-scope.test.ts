import { describe, expect, test } from "vitest";
import type { RejectedPolicy } from "../../../../src/config/compile/authorization.ts";
import { PeerAuthentications } from "../../../../src/config/compile/peer-authentication.ts";
import { ProblemList } from "../../../../src/config/compile/problem-list.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { resourcesOf } from "./compile-yaml.ts";

/* spec/05 5.2; the workload is in namespace `own` with label `app: me`. */

const LABELS = { app: "me", version: "v1" };

function policy(name: string, namespace: string, spec: string, year = 2024): string {
  return `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z" }
spec: { ${spec} }
`;
}
const mode = (value: string): string => `mtls: { mode: ${value} }`;
const forMe = "selector: { matchLabels: { app: me } }";

function compiled(yaml: string): { policies: PeerAuthentications; problems: ProblemList } {
  const problems = new ProblemList();
  return { policies: new PeerAuthentications(resourcesOf(yaml).resources, [], "root", problems), problems };
}
const modeOf = (yaml: string, port = 80): string => compiled(yaml).policies.modeOf("own", LABELS, port);

const mesh = policy("mesh", "root", mode("STRICT"));
const namespaced = (value: string): string => policy("ns", "own", mode(value));

test.each<readonly [string, string, Readonly<Record<string, string>> | null, string]>([
  ["of the namespace", "own", null, "STRICT"],
  ["of another namespace", "other", null, "PERMISSIVE"],
  ["of the mesh", "root", null, "STRICT"],
  ["of the mesh, with an empty selector", "root", {}, "STRICT"],
  ["of the workload", "own", { app: "me" }, "STRICT"],
  ["of another workload", "own", { app: "other" }, "PERMISSIVE"],
  ["in the root namespace with a selector, which would count for nobody", "root", { app: "me" }, "PERMISSIVE"],
])("one that was refused is STRICT for whom it would count: %s", (_what, namespace, selector, expected) => {
  const refused: RejectedPolicy = { kind: "PeerAuthentication", namespace, name: "broken", selector, file: "a.yaml", line: 1 };
  expect(new PeerAuthentications([], [refused], "root", new ProblemList()).modeOf("own", LABELS, 80)).toBe(expected);
});

describe("spec/05 5.2 and 10.2: port over workload over namespace over mesh", () => {
  test.each([
    ["nothing", "", "PERMISSIVE"],
    ["mesh", mesh, "STRICT"],
    ["namespace over mesh", mesh + namespaced("DISABLE"), "DISABLE"],
    ["UNSET inherits", mesh + namespaced("UNSET"), "STRICT"],
    ["missing mtls inherits", `${mesh}${policy("ns", "own", "")}`, "STRICT"],
    ["workload over namespace", mesh + namespaced("DISABLE") + policy("w", "own", `${forMe}, ${mode("PERMISSIVE")}`), "PERMISSIVE"],
    ["a workload's UNSET inherits the namespace's", mesh + namespaced("DISABLE") + policy("w", "own", `${forMe}, ${mode("UNSET")}`), "DISABLE"],
    ["port over workload", policy("w", "own", `${forMe}, ${mode("STRICT")}, portLevelMtls: { 80: { mode: DISABLE } }`), "DISABLE"],
    ["another port's is not asked", policy("w", "own", `${forMe}, ${mode("STRICT")}, portLevelMtls: { 81: { mode: DISABLE } }`), "STRICT"],
    ["a port's UNSET inherits the workload's", policy("w", "own", `${forMe}, ${mode("STRICT")}, portLevelMtls: { 80: { mode: UNSET } }`), "STRICT"],
    ["a selector that does not hold", mesh + policy("w", "own", `selector: { matchLabels: { app: me, version: v2 } }, ${mode("DISABLE")}`), "STRICT"],
    ["another namespace's", mesh + policy("o", "other", mode("DISABLE")), "STRICT"],
    ["with selector in the root namespace: nowhere", policy("r", "root", `${forMe}, ${mode("STRICT")}`), "PERMISSIVE"],
  ])("%s", (_what, yaml, expected) => {
    expect(modeOf(yaml)).toBe(expected);
  });

  test.each([
    ["mesh", "root", ""], ["namespace", "own", ""], ["workload", "own", `${forMe}, `],
  ])("the oldest of a %s counts, and the younger says so", (_scope, namespace, selector) => {
    const yaml = policy("a-young", namespace, `${selector}${mode("DISABLE")}`, 2025) + policy("z-old", namespace, `${selector}${mode("STRICT")}`, 2023);
    const { policies, problems } = compiled(yaml);
    expect(policies.modeOf("own", LABELS, 80)).toBe("STRICT");
    policies.reportShadowed("own", LABELS, problems);
    const [problem, ...others] = problems.sorted();
    expect(others).toEqual([]);
    expect(problem && formatProblem(problem)).toMatch(new RegExp(`PeerAuthentication ${namespace}/a-young: .*ignored.*PeerAuthentication z-old is older`));
    expect(problem?.shadowedBy?.resource).toBe(`PeerAuthentication ${namespace}/z-old`);
  });

  test("the root namespace's own workloads: mesh policies only", () => {
    const { policies } = compiled(mesh + policy("r", "root", `${forMe}, ${mode("DISABLE")}`));
    expect(policies.modeOf("root", LABELS, 80)).toBe("STRICT");
  });

  test("every port with a mode of its own is known, also one that no service leads to", () => {
    const { policies } = compiled(policy("w", "own", `${forMe}, portLevelMtls: { 9090: { mode: DISABLE }, 80: { mode: STRICT } }`));
    expect(policies.portsOf("own", LABELS)).toEqual([80, 9090]);
  });
});
