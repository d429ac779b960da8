import { beforeAll, describe, expect, it } from "vitest";

import { parseReport, runH2spec } from "./h2spec-suite.ts";
import { findPeer, H2SPEC, whySkipped } from "./peers.ts";
import { countOf, failuresOf, type SuiteReport } from "./suite-report.ts";

const reason = whySkipped(H2SPEC);
if (reason !== null) process.stdout.write(reason);

describe.skipIf(reason !== null)("h2spec, strict cases too", () => {
  let inbound: SuiteReport;
  let outbound: SuiteReport;

  beforeAll(async () => {
    const reports = await runH2spec(findPeer(H2SPEC) ?? "");
    inbound = reports[0] as SuiteReport;
    outbound = reports[1] as SuiteReport;
  });

  it("passes against the inbound listener", () => {
    expect(failuresOf(inbound)).toEqual([]);
    expect(countOf(inbound, "passed")).toBeGreaterThanOrEqual(145);
    expect(countOf(inbound, "skipped")).toBe(0);
  });

  it("passes against the outbound listener", () => {
    expect(failuresOf(outbound)).toEqual([]);
    expect(countOf(outbound, "passed")).toBeGreaterThanOrEqual(145);
    expect(countOf(outbound, "skipped")).toBe(0);
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
