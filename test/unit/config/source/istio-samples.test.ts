import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/* Every YAML file of Istio's samples loads, or is refused for a reason that stands here. Skipped without the data. */

const SAMPLES = join(import.meta.dirname, "../../../../../shared/corpora/istio-samples/samples");
const files = existsSync(SAMPLES) ? globSync("**/*.{yaml,yml}", { cwd: SAMPLES }).sort() : [];

/** Why a sample is refused: each is no configuration of a sidecar. */
const REASONS = [
  /is no Kubernetes object: it has no kind$/, // values of Helm charts
  /IstioOperator/, // options of an installer
  // A filter that asks a rate limit service: no local limit, and no part of Istio's API.
  /EnvoyFilter istio-system\/filter-ratelimit: .*patch 1 \(CLUSTER ADD of "rate_limit_cluster"\) is not supported/,
  /: error: (?:Template|Block|Flow|Implicit|Nested|Map|Missing|Unexpected|A block|All mapping|Not a YAML)/, // templates of Helm and of shells
];

describe.skipIf(files.length === 0)("Istio's samples (../shared/corpora/istio-samples)", () => {
  it("are there", () => expect(files.length).toBeGreaterThan(100));

  it.each(files)("%s", (file) => {
    const { parsed } = parseFile(file, readFileSync(join(SAMPLES, file)));
    const problems = [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)];
    const errors = problems.filter((problem) => problem.severity === "error").map(formatProblem);
    expect(errors.filter((error) => !REASONS.some((reason) => reason.test(error)))).toEqual([]);
  });
});
