import { describe, expect, it } from "vitest";
import { readOptions } from "../../../bench/options.ts";
import { comparison, cpuPerHop, report, spread } from "../../../bench/report.ts";
import type { Figures, Row } from "../../../bench/report.ts";

const row = (peer: string, ...cpuMicros: number[][]): Row => ({
  peer, arrangement: "pair", connections: 8,
  samples: cpuMicros.map((hops) => ({ cpuMicros: hops, requests: 1000, requestsPerSecond: 500, p50: 1, p99: 2 })),
});
const figures = (...rows: Row[]): Figures => ({
  machine: { cpus: 2, cpuModel: "m", kernel: "k" }, load: "wrk", application: "nginx", versions: {}, rows, memory: [],
});

describe("the benchmark's figures", () => {
  it("have a median, a least and a greatest", () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
  });

  it("are a mean over the hops and a median over the rounds", () => {
    expect(cpuPerHop(row("outrider", [10, 30], [20, 60], [30, 30]))).toEqual({ median: 30, min: 20, max: 40 });
  });

  it("are told as a ratio to HAProxy's in the same arrangement", () => {
    const text = report(figures(row("outrider", [50, 70]), row("haproxy", [20, 30])));
    expect(text).toMatch(/pair +8 +outrider +60\.0 \(60\.0-60\.0\) +50\.0 \/ 70\.0 +2\.40/);
  });

  it("are told as a ratio to Envoy's", () => {
    const text = report(figures(row("outrider", [50, 70]), row("haproxy", [20, 30]), row("envoy", [80, 80])));
    expect(text).toMatch(/pair +8 +outrider +60\.0 .*50\.0 \/ 70\.0 +2\.40 +0\.75/);
  });

  it("are told as a ratio to our own HTTP/1 hop's", () => {
    const text = report(figures(row("outrider", [20, 40]), row("outrider-http1", [60, 60]), row("haproxy", [40, 40]), row("haproxy-h2", [20, 20])));
    expect(text).toMatch(/pair +8 +outrider +30\.0 .*20\.0 \/ 40\.0 +0\.75 +0\.50 +1\.000/);
    expect(text).toMatch(/pair +8 +outrider-http1 +60\.0 .*60\.0 \/ 60\.0 +1\.50 +1\.000/);
    expect(text).toMatch(/pair +8 +haproxy +40\.0 .*40\.0 \/ 40\.0 +1\.000/);
    expect(text).toMatch(/pair +8 +haproxy-h2 +20\.0 .*20\.0 \/ 20\.0 +0\.50 +1\.000/);
  });

  it("stand beside an earlier run's", () => {
    const before = figures(row("outrider", [50, 50]), row("haproxy", [25, 25]));
    const now = figures(row("outrider", [40, 40]), row("haproxy", [25, 25]));
    expect(comparison(now, before)).toMatch(/pair +8 +outrider +50\.0 +40\.0 +-20\.0 % +2\.00 +1\.60/);
    expect(comparison(now, figures())).toMatch(/pair +8 +outrider +- +40\.0 +- +1\.60/);
  });
});

describe("the benchmark's options", () => {
  it("have defaults and bounds", () => {
    expect(readOptions([])).toMatchObject({ peers: ["outrider", "outrider-http1", "haproxy", "haproxy-h2", "envoy", "envoy-h2"], connections: [1, 8, 32, 64], rounds: 3, json: null });
    expect(readOptions(["--help"])).toBeNull();
    expect(() => readOptions(["--connections", "8,x"])).toThrow(/connections/);
    expect(() => readOptions(["--rounds", "0"])).toThrow(/rounds/);
    expect(() => readOptions(["--seconds", "1e9"])).toThrow(/seconds/);
    expect(() => readOptions(["--peers", "nginx"])).toThrow(/nginx/);
  });
});
