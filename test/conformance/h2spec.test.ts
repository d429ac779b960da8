import { beforeAll, describe, expect, it } from "vitest";

import { parseReport, runH2spec } from "./h2spec-suite.ts";
import { findPeer, H2SPEC, whySkipped } from "./peers.ts";
import { countOf, failuresOf, type SuiteReport } from "./suite-report.ts";

const reason = whySkipped(H2SPEC);
if (reason !== null) process.stdout.write(reason);

describe.skipIf(reason !== null)("h2spec, strict cases too", () => {
  let reports: SuiteReport[] = [];

  beforeAll(async () => {
    reports = await runH2spec(findPeer(H2SPEC) ?? "");
  });

  it.each([
    { index: 0, against: "the inbound listener with mesh mTLS", leastPassed: 146 },
    { index: 1, against: "the inbound listener without TLS", leastPassed: 145 },
    { index: 2, against: "the outbound listener", leastPassed: 145 },
  ])("passes against $against", ({ index, leastPassed }) => {
    const report = reports[index] as SuiteReport;
    expect(failuresOf(report)).toEqual([]);
    expect(countOf(report, "passed")).toBeGreaterThanOrEqual(leastPassed);
    expect(countOf(report, "skipped")).toBe(0);
  });
});

describe("the report of h2spec", () => {
  it("is read case by case", () => {
    const xml = `<testsuite name="6.7. PING">
      <testcase package="http2/6.7" classname="Sends a PING frame" time="0.1"></testcase>
      <testcase package="http2/6.7" classname="Sends &#34;this&#34;" time="0.1"><failure>GOAWAY\nTimeout</failure></testcase>
      <testcase package="http2/6.7" classname="That" time="0"><skipped></skipped></testcase>`;
    expect(parseReport(xml).map(({ id, outcome, detail }) => [id, outcome, detail])).toEqual([
      ["http2/6.7 Sends a PING frame", "passed", ""],
      ["http2/6.7 Sends \"this\"", "failed", "GOAWAY; Timeout"],
      ["http2/6.7 That", "skipped", ""],
    ]);
  });
});
