import { parentPort, workerData } from "node:worker_threads";
import { RequestMetrics } from "../../../src/telemetry/request-metrics.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { WORKLOAD, streamInfo } from "./fixtures.ts";

// A data thread: counts as many requests as it is asked to, then says so and counts on when told.
const writer = new SeriesWriter((batch) => parentPort?.postMessage({ batch }));
const metrics = new RequestMetrics(writer, WORKLOAD);
const active = writer.gauge("envoy_listener_downstream_cx_active", { listener_address: "0.0.0.0_15006" });
active.set(3);

function count(requests: number): void {
  for (let index = 0; index < requests; index++) {
    const info = streamInfo("inbound", { status: index % 10 === 0 ? 503 : 200 });
    metrics.done(info, info.startedAtMs + 7);
  }
  setImmediate(() => parentPort?.postMessage({ counted: requests }));
}

count(workerData as number);
parentPort?.on("message", count);
