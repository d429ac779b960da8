import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lint } from "../../../../src/config/lint/lint.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/*
 * Istio's samples are good configuration of others: a lint that is raised on one of them is wrong, unless it stands here.
 * Skipped without the data.
 */

const SAMPLES = join(import.meta.dirname, "../../../../../shared/corpora/istio-samples/samples");
const files = existsSync(SAMPLES) ? globSync("**/*.{yaml,yml}", { cwd: SAMPLES }).sort() : [];

const EXPECTED: Readonly<Record<string, readonly RegExp[]>> = {
  // Its first rule has no match, so that the second, which is the same without the fault, is for nobody.
  "bookinfo/networking/fault-injection-details-v1.yaml": [/spec\.http\[1\]: is never reached: http\[0\]/],
};

describe.skipIf(files.length === 0)("lints of Istio's samples (../shared/corpora/istio-samples)", () => {
  it("are raised where they are right, and nowhere else", () => {
    for (const file of files) {
      const { parsed } = parseFile(file, readFileSync(join(SAMPLES, file)));
      const resources = parsed.objects.flatMap((object) => (object.resource === null ? [] : [object.resource]));
      const expected = EXPECTED[file] ?? [];
      expect(lint(resources).map(formatProblem)).toEqual(expected.map((pattern): unknown => expect.stringMatching(pattern)));
    }
  });
});
