import { describe, expect, it } from "vitest";
import { healthRequest, servingStatus } from "../../../src/control/grpc-health.ts";
import { HealthVerdict, type ProbeOutcome } from "../../../src/control/health-verdict.ts";

const RESULTS: Readonly<Record<string, ProbeOutcome["result"]>> = { "+": "healthy", "-": "unhealthy", "?": "failed" };

/** What an endpoint is taken for after each of the probes: `+` healthy, `-` an answer that says no, `?` none. */
function after(probes: string, thresholds = { healthyThreshold: 2, unhealthyThreshold: 3 }): string {
  const verdict = new HealthVerdict();
  return probes.split("").map((probe) => {
    const before = verdict.isHealthy;
    const hasChanged = verdict.observe({ result: RESULTS[probe] ?? "failed", reason: probe }, thresholds);
    expect(hasChanged).toBe(before !== verdict.isHealthy);
    return verdict.isHealthy ? "H" : "U";
  }).join("");
}

describe("the verdict on an endpoint", () => {
  it.each([
    ["+++", "HHH", "healthy stays healthy"],
    ["??", "HH", "healthy until checks have failed often enough"],
    ["???", "HHU", "three without an answer"],
    ["??+??+", "HHHHHH", "only in a row"],
    ["-", "U", "an answer that says no counts at once"],
    ["-+", "UU", "one good answer is not enough"],
    ["-++", "UUH", "two are"],
    ["-+?+?++", "UUUUUUH", "only in a row"],
    ["-++???", "UUHHHU", "and again"],
  ])("%s gives %s: %s", (probes, expected) => {
    expect(after(probes)).toBe(expected);
  });

  it("thresholds of one decide at once", () => {
    expect(after("?+?+", { healthyThreshold: 1, unhealthyThreshold: 1 })).toBe("UHUH");
  });

  it("says what it goes by", () => {
    const verdict = new HealthVerdict();
    expect([verdict.isUnknown, verdict.reason]).toEqual([true, "not checked yet"]);
    verdict.observe({ result: "healthy", reason: "status 200" }, { healthyThreshold: 1, unhealthyThreshold: 1 });
    expect([verdict.isUnknown, verdict.reason]).toEqual([false, "status 200"]);
  });
});

describe("messages of grpc.health.v1", () => {
  it("asks about the server, or about one of its services", () => {
    expect(healthRequest("").toString("hex")).toBe("0000000000");
    expect(healthRequest("shop.Reviews").toString("hex")).toBe(`000000000e0a0c${Buffer.from("shop.Reviews").toString("hex")}`);
  });

  it.each([
    ["00000000020801", "SERVING"],
    ["00000000020802", "NOT_SERVING"],
    ["00000000020803", "SERVICE_UNKNOWN"],
    ["0000000000", "UNKNOWN"],
    ["00000000020809", null],
    ["01000000020801", null],
    ["00000000030801", null],
    ["000000000208", null],
    ["", null],
  ])("%s says %s", (hex, expected) => {
    expect(servingStatus(Buffer.from(hex, "hex"))).toBe(expected);
  });
});
