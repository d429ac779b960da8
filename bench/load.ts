import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Child, LOAD_CPU, findProgram } from "./child.ts";
import { HOST } from "./peer.ts";

/** What a load generator saw. Latencies in milliseconds. */
export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Sends GET requests to a loopback port over keep-alive connections, as fast as they are answered. */
export interface LoadGenerator {
  readonly name: string;
  run(port: number, connections: number, seconds: number): Promise<LoadResult>;
}

/** fortio if it is on the PATH, else wrk; null when there is neither. `folder` takes a file for wrk. */
export function findLoadGenerator(folder: string): LoadGenerator | null {
  const fortio = findProgram("fortio");
  if (fortio !== null) return fortioGenerator(fortio);
  const wrk = findProgram("wrk");
  return wrk === null ? null : wrkGenerator(wrk, folder);
}

async function runTool(command: readonly string[], seconds: number): Promise<string> {
  const child = new Child("load", command, { cpu: LOAD_CPU });
  try {
    return await child.finished((seconds + 15) * 1000);
  } finally {
    await child.stop();
  }
}

interface FortioReport {
  readonly ActualQPS: number;
  readonly RetCodes: Readonly<Record<string, number>>;
  readonly DurationHistogram: { readonly Count: number; readonly Percentiles: readonly { readonly Percentile: number; readonly Value: number }[] };
}

function fortioGenerator(fortio: string): LoadGenerator {
  return {
    name: "fortio",
    async run(port, connections, seconds) {
      // Buckets of a microsecond: fortio's default of a millisecond hides what a proxy costs.
      const command = [fortio, "load", "-quiet", "-json", "-", "-c", String(connections), "-qps", "0", "-t", `${seconds}s`, "-r", "0.000001", "-p", "50,90,99",
        "-keepalive=true", "-allow-initial-errors=false", "-H", `Host: ${HOST}`, `http://127.0.0.1:${port}/`];
      const report = JSON.parse(await runTool(command, seconds)) as FortioReport;
      const failed = Object.keys(report.RetCodes).filter((status) => status !== "200");
      if (failed.length > 0) throw new Error(`answers other than 200: ${JSON.stringify(report.RetCodes)}`);
      const at = (percentile: number) => (report.DurationHistogram.Percentiles.find((entry) => entry.Percentile === percentile)?.Value ?? Number.NaN) * 1000;
      return { requests: report.DurationHistogram.Count, requestsPerSecond: report.ActualQPS, p50: at(50), p90: at(90), p99: at(99) };
    },
  };
}

/** wrk calls this once, when it is done: whole numbers instead of its rounded text. */
const WRK_REPORT = `done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('\\nREPORT {"requests":%d,"micros":%d,"p50":%f,"p90":%f,"p99":%f,"errors":[%d,%d,%d,%d,%d]}\\n', summary.requests, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
`;

/** What the numbers under `errors` count. */
const WRK_ERRORS = ["connections", "reads", "writes", "statuses", "time-outs"];
/** A request may take this long on a machine that others use; wrk's own 2 s are not always enough. */
const WRK_TIMEOUT = "10s";

function wrkGenerator(wrk: string, folder: string): LoadGenerator {
  const script = join(folder, "report.lua");
  writeFileSync(script, WRK_REPORT);
  return {
    name: "wrk",
    async run(port, connections, seconds) {
      const command = [wrk, "-t", "1", "-c", String(connections), "-d", `${seconds}s`, "--timeout", WRK_TIMEOUT, "-s", script, "-H", `Host: ${HOST}`, `http://127.0.0.1:${port}/`];
      const output = await runTool(command, seconds);
      const text = /^REPORT (.*)$/m.exec(output)?.[1];
      if (text === undefined) throw new Error(`wrk did not report: ${output.slice(-200)}`);
      const report = JSON.parse(text) as Omit<LoadResult, "requestsPerSecond"> & { readonly micros: number; readonly errors: readonly number[] };
      const failed = WRK_ERRORS.map((what, index) => ({ what, count: report.errors[index] ?? 0 })).filter(({ count }) => count > 0);
      if (failed.length > 0) throw new Error(`of ${report.requests} requests some failed: ${failed.map(({ what, count }) => `${what} ${count}`).join(", ")}`);
      const { requests, p50, p90, p99 } = report;
      return { requests, requestsPerSecond: (requests * 1_000_000) / report.micros, p50, p90, p99 };
    },
  };
}
