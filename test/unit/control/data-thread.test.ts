import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { DataThreadStart, FromDataThread } from "../../../src/data-thread.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { snapshotOf } from "./sidecar.ts";

const FILE = join(import.meta.dirname, "..", "..", "..", "src", "data-thread.ts");
/** Runs in the thread beside its own code and throws on demand, as a defect of ours would. */
const CHAOS = `data:text/javascript,${encodeURIComponent(`
  import { parentPort } from "node:worker_threads";
  parentPort.on("message", (message) => {
    if (message.type === "chaos") for (let left = message.count; left > 0; left--) setImmediate(() => { throw new Error("boom"); });
    if (message.type === "chaos-rejection") void Promise.reject(new Error("boom"));
  });
`)}`;

// Real threads start in their own time.
vi.setConfig({ testTimeout: 60_000 });

let worker: Worker;
afterEach(() => worker.terminate());

/** A data thread that listens, and what it says from then on. */
async function start(): Promise<{ readonly reader: SeriesReader; readonly lines: string[]; readonly until: (condition: () => boolean) => Promise<void> }> {
  const start: DataThreadStart = {
    name: "data-0", row: 0, logLevel: "info", logFormat: "json",
    listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: null, reusePort: false, maxConnections: 100 },
  };
  worker = new Worker(FILE, { workerData: start, execArgv: ["--import", CHAOS] });
  const reader = new SeriesReader();
  const lines: string[] = [];
  let isListening = false;
  worker.on("message", (message: FromDataThread) => {
    if (message.type === "series") reader.accept("data-0", message.batch);
    if (message.type === "log") lines.push(...message.lines);
    if (message.type === "listening") isListening = true;
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await once(worker, "message");
  };
  worker.postMessage({ type: "snapshot", snapshot: snapshotOf("") });
  await until(() => isListening);
  return { reader, lines, until };
}

const defects = (reader: SeriesReader): number | undefined => reader.value("outrider_defects_total", { where: "thread" });

describe("an exception that nothing caught (P5)", () => {
  it.each([["thrown", { type: "chaos", count: 3 }, 3], ["rejected", { type: "chaos-rejection" }, 1]])("is counted and logged when %s, and the thread goes on", async (_how, message, count) => {
    const { reader, lines, until } = await start();
    worker.postMessage(message);
    await until(() => lines.some((line) => line.includes("unexpected exception")));
    expect(defects(reader)).toBe(count);
    expect(JSON.parse(lines.find((line) => line.includes("unexpected exception")) ?? "{}")).toMatchObject({ level: "error", where: "thread", error: expect.stringContaining("boom") });
    worker.postMessage({ type: "cluster-state", id: 1 });
    const [answer] = (await once(worker, "message")) as [FromDataThread];
    expect(answer.type).not.toBe("failed");
  });

  it("ends the thread when there were too many in a short time, so that it is replaced", async () => {
    const { lines } = await start();
    worker.postMessage({ type: "chaos", count: 25 });
    const [code] = (await once(worker, "exit")) as [number];
    expect(code).toBe(1);
    expect(lines.some((line) => line.includes("unexpected exception"))).toBe(true);
  });
});
