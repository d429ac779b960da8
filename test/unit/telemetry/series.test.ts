import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { exposition } from "../../../src/telemetry/exposition.ts";
import { metricFamily } from "../../../src/telemetry/metric-family.ts";
import type { SeriesBatch } from "../../../src/telemetry/series-batch.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { parseExposition, sampleValue } from "./fixtures.ts";

const SIZES = metricFamily("sizes", "histogram", "Sizes", ["kind"], { buckets: [1, 10], isTraffic: true });
const HITS = metricFamily("hits_total", "counter", "Hits", ["side", "host"], { isTraffic: true, keptOnOverflow: ["side"] });

/** A writer whose announcements reach `reader` as they would another thread: cloned. */
function connect(reader: SeriesReader, source: string, options: ConstructorParameters<typeof SeriesWriter>[1] = {}): SeriesWriter {
  return new SeriesWriter((batch) => reader.accept(source, structuredClone(batch)), options);
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("series in shared memory", () => {
  test("writes counters, gauges and histograms as Prometheus text", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0");
    writer.counter("envoy_cluster_upstream_rq_total", { cluster_name: 'a "b" \\ c\nd' }).add(5);
    writer.gauge("envoy_cluster_upstream_rq_active", { cluster_name: "a" }).set(-2);
    const sizes = writer.histogramOf(writer.family(SIZES), ["x"]);
    for (const value of [0, 1, 1.5, 10, 11, 1000]) sizes.observe(value);
    await settled();
    const text = await exposition(reader);
    expect(text).toContain("# TYPE sizes histogram");
    expect(text).toContain("# HELP sizes Sizes");
    const samples = parseExposition(text);
    expect(sampleValue(samples, "envoy_cluster_upstream_rq_total", { cluster_name: 'a "b" \\ c\nd' })).toBe(5);
    expect(sampleValue(samples, "envoy_cluster_upstream_rq_active", { cluster_name: "a" })).toBe(-2);
    expect(samples.filter(({ name }) => name.startsWith("sizes")).map(({ name, labels, value }) => [name, labels["le"], value])).toEqual([
      ["sizes_bucket", "1", 2], ["sizes_bucket", "10", 4], ["sizes_bucket", "+Inf", 6], ["sizes_sum", undefined, 1023.5], ["sizes_count", undefined, 6],
    ]);
  });

  test("asking again for the same labels, in any order, gives the same numbers", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0");
    writer.counter("x", { a: "1", b: "2" }).add(1);
    writer.counter("x", { b: "2", a: "1" }).add(1);
    await settled();
    expect(reader.value("x", { a: "1", b: "2" })).toBe(2);
    expect(parseExposition(await exposition(reader)).filter(({ name }) => name === "x")).toHaveLength(1);
  });

  test("a name with two sets of labels is one metric", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0");
    writer.counter("x", { a: "1" }).add(1);
    writer.counter("x", { b: "1" }).add(2);
    await settled();
    const text = await exposition(reader);
    expect(text.match(/# TYPE x /g)).toHaveLength(1);
    expect(sampleValue(parseExposition(text), "x", { b: "1" })).toBe(2);
  });

  test("sums over threads, takes the maximum where the metric says so", async () => {
    const reader = new SeriesReader();
    const writers = [connect(reader, "data-0"), connect(reader, "data-1")];
    const newest = metricFamily("newest", "gauge", "Newest", [], { aggregate: "max" });
    writers.forEach((writer, index) => {
      writer.counter("x").add(index + 1);
      writer.gaugeOf(writer.family(newest), []).set(index + 5);
    });
    await settled();
    expect(reader.value("x")).toBe(3);
    expect(reader.value("newest")).toBe(6);
  });

  test("a thread that died leaves its counts and takes its gauges along", async () => {
    const reader = new SeriesReader();
    const first = connect(reader, "data-0");
    first.counter("x").add(4);
    first.gauge("active").set(9);
    await settled();
    reader.detach("data-0");
    expect(reader.value("x")).toBe(4);
    expect(reader.value("active")).toBeUndefined();
    connect(reader, "data-0").counter("x").add(1);
    await settled();
    expect(reader.value("x")).toBe(5);
  });

  test("100 000 distinct values stay within the budget, and no count is lost", async () => {
    const reader = new SeriesReader();
    const batches: SeriesBatch[] = [];
    const writer = new SeriesWriter((batch) => {
      batches.push(batch);
      reader.accept("data-0", batch);
    });
    const hits = writer.family(HITS);
    for (let index = 0; index < 100_000; index++) writer.counterOf(hits, ["source", `host-${index}`]).add(1);
    await settled();
    expect(batches.flatMap((batch) => batch.added)).toHaveLength(2000 + 1 + 1);
    const samples = parseExposition(await exposition(reader)).filter(({ name }) => name === "hits_total");
    expect(samples).toHaveLength(2001);
    expect(samples.reduce((sum, { value }) => sum + value, 0)).toBe(100_000);
    expect(sampleValue(samples, "hits_total", { side: "source", host: "other" })).toBe(98_000);
    expect(reader.value("outrider_metrics_dropped_series_total")).toBe(98_000);
  });

  test("series of the configuration do not compete with traffic for the budget", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0", { maxTrafficSeries: 1 });
    const hits = writer.family(HITS);
    for (const host of ["a", "b"]) writer.counterOf(hits, ["source", host]).add(1);
    writer.counter("envoy_cluster_upstream_rq_total", { cluster_name: "a" }).add(1);
    await settled();
    expect(reader.value("envoy_cluster_upstream_rq_total", { cluster_name: "a" })).toBe(1);
    expect(reader.value("hits_total", { side: "source", host: "other" })).toBe(1);
  });
});

describe("idle series", () => {
  test("are dropped, their budget is free again and a kept handle does no harm", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0", { maxTrafficSeries: 2, idleSweeps: 2 });
    const hits = writer.family(HITS);
    const idle = writer.counterOf(hits, ["source", "idle"]);
    const busy = writer.counterOf(hits, ["source", "busy"]);
    const config = writer.counter("configured");
    idle.add(1);
    const epoch = writer.epoch;
    for (let sweep = 0; sweep < 3; sweep++) {
      busy.add(1);
      writer.sweep();
    }
    await settled();
    expect(reader.value("hits_total", { side: "source", host: "idle" })).toBeUndefined();
    expect(reader.value("hits_total", { side: "source", host: "busy" })).toBe(3);
    expect(writer.epoch).toBeGreaterThan(epoch);
    config.add(1);
    expect(reader.value("configured")).toBe(1);

    busy.add(1);
    writer.sweep();
    busy.add(1);
    writer.sweep();
    const next = writer.counterOf(hits, ["source", "next"]);
    next.add(7);
    idle.add(100);
    await settled();
    expect(reader.value("hits_total", { side: "source", host: "next" })).toBe(7);
    expect(reader.value("outrider_metrics_dropped_series_total")).toBe(0);
  });

  test("one that comes back in the same turn keeps its total, as a counter must", async () => {
    const reader = new SeriesReader();
    const writer = connect(reader, "data-0", { idleSweeps: 1 });
    const hits = writer.family(HITS);
    writer.counterOf(hits, ["source", "a"]).add(5);
    await settled();
    writer.sweep();
    writer.sweep();
    writer.counterOf(hits, ["source", "a"]).add(1);
    await settled();
    expect(reader.value("hits_total", { side: "source", host: "a" })).toBe(6);
  });

  test("memory is used again, but only after the reader has had time to hear of it", () => {
    const added: { id: number; segment: number; offset: number }[] = [];
    const writer = new SeriesWriter((batch) => added.push(...batch.added), { idleSweeps: 1 });
    const hits = writer.family(HITS);
    const place = async (host: string): Promise<string> => {
      writer.counterOf(hits, ["source", host]);
      await settled();
      const last = added.at(-1);
      return `${last?.segment}/${last?.offset}`;
    };
    return (async () => {
      const first = await place("a");
      writer.sweep();
      expect(await place("b")).not.toBe(first);
      writer.sweep();
      writer.sweep();
      expect(await place("c")).toBe(first);
    })();
  });
});

describe("between threads", () => {
  test("a scrape reads what a worker counts, while it counts", async () => {
    const reader = new SeriesReader();
    const worker = new Worker(new URL("./series-worker.ts", import.meta.url), { workerData: 1000 });
    try {
      const counted = (): Promise<void> => new Promise((resolve, reject) => {
        worker.once("error", reject);
        const listen = (message: { batch?: SeriesBatch; counted?: number }): void => {
          if (message.batch !== undefined) reader.accept("data-0", message.batch);
          if (message.counted === undefined) return;
          worker.off("message", listen);
          resolve();
        };
        worker.on("message", listen);
      });
      await counted();
      const samples = parseExposition(await exposition(reader));
      const labels = { reporter: "destination", response_code: "503" };
      expect(sampleValue(samples, "istio_requests_total", labels)).toBe(100);
      expect(sampleValue(samples, "istio_request_duration_milliseconds_sum", labels)).toBe(700);
      expect(sampleValue(samples, "istio_request_duration_milliseconds_bucket", { ...labels, le: "5" })).toBe(0);
      expect(sampleValue(samples, "istio_request_duration_milliseconds_bucket", { ...labels, le: "10" })).toBe(100);
      expect(sampleValue(samples, "envoy_listener_downstream_cx_active")).toBe(3);
      worker.postMessage(500);
      await counted();
      expect(sampleValue(parseExposition(await exposition(reader)), "istio_requests_total", labels)).toBe(150);
    } finally {
      void worker.terminate();
      await once(worker, "exit");
    }
  });
});
