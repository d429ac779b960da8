import { existsSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { parseSpiffeId } from "../../src/identity/spiffe-id.ts";

const CASES = "../shared/corpora/spiffe/spiffe-id-cases.json";
const isThere = existsSync(CASES);
if (!isThere) process.stdout.write(`skipped: ${CASES} is not there\n`);

interface Case {
  readonly id: string;
  readonly valid: boolean;
  readonly path?: string;
}

describe.skipIf(!isThere)("SPIFFE IDs as go-spiffe reads them", () => {
  const cases = isThere ? (JSON.parse(readFileSync(CASES, "utf8")) as Case[]) : [];

  it("agrees on every case", () => {
    expect(cases.length).toBeGreaterThan(250);
    const wrong = cases.filter(({ id, valid, path }) => {
      const parsed = parseSpiffeId(id);
      if (typeof parsed === "string") return valid;
      return !valid || (path !== undefined && parsed.path !== path);
    });
    expect(wrong).toEqual([]);
  });
});
