import { expect, it } from "vitest";

import { conformanceTable } from "./conformance-table.ts";
import { H2SPEC } from "./peers.ts";
import type { SuiteReport } from "./suite-report.ts";

const report: SuiteReport = {
  suite: "h2spec", version: "v9", against: "the inbound listener",
  results: [
    { id: "one", outcome: "passed", detail: "" }, { id: "two", outcome: "passed", detail: "" },
    { id: "three", outcome: "failed", detail: "Timeout" }, { id: "four", outcome: "excluded", detail: "because" },
  ],
};

it("the page counts every case, and names those that did not pass", () => {
  const page = conformanceTable([report], { date: "2026-01-02", outriderVersion: "9.8.7", nodeVersion: "26.0.0", peers: [H2SPEC] });
  expect(page).toContain("Outrider 9.8.7 on Node 26.0.0, 2026-01-02");
  expect(page).toContain("| h2spec | v9 | the inbound listener | 2 | 1 | 0 | 1 |");
  expect(page).toContain("- failed: `three`: Timeout\n- excluded: `four`: because");
  expect(page).not.toContain("`one`");
  expect(page).toContain("meant to be of revision `af83a65f0b62`");
  expect(page).toContain("go install github.com/summerwind/h2spec/cmd/h2spec@");
});
