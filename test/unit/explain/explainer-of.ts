import { compile } from "../../../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../../../src/config/compile/workload-identity.ts";
import { formatProblem } from "../../../src/config/problem.ts";
import type { Snapshot } from "../../../src/config/snapshot.ts";
import { parseFile } from "../../../src/config/source/parse-file.ts";
import { Explainer } from "../../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { type Resource, yamlOf } from "../../integration/mesh-resources.ts";

/** Resources as the workload `reviews` in namespace `default` sees them. */
export interface Mesh {
  readonly snapshot: Snapshot;
  explain(request: unknown): Explanation;
}

/** Compiles resources, which must be valid, for one workload, each on a line of its own: 1, 3, 5, ... */
export function meshOf(resources: readonly (Resource | readonly Resource[])[], workload: Partial<WorkloadIdentity> = {}): Mesh {
  return meshOfYaml(yamlOf(...resources), workload);
}

/** The same of a file as it is written. */
export function meshOfYaml(yaml: string, workload: Partial<WorkloadIdentity> = {}): Mesh {
  const { parsed } = parseFile("mesh.yaml", Buffer.from(yaml));
  const refused = [...parsed.problems, ...parsed.objects.flatMap(({ problems }) => problems)].filter(({ severity }) => severity === "error");
  if (refused.length > 0) throw new Error(refused.map(formatProblem).join("\n"));
  const { snapshot, names } = compile({
    resources: parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource])),
    workload: {
      podName: "reviews-1", namespace: "default", serviceAccount: "reviews", addresses: ["10.0.0.1"], labels: { app: "reviews" }, trustDomain: null, ...workload,
    },
    version: 1,
    namesServices: true,
  });
  const explainer = new Explainer(snapshot, names);
  return { snapshot, explain: (request) => explainer.explain(parseExplainRequest(request)) };
}
