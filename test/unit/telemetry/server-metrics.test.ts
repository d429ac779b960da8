import { describe, expect, test } from "vitest";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { ConfigMetrics } from "../../../src/telemetry/config-metrics.ts";
import type { ConfigFacts } from "../../../src/telemetry/config-metrics.ts";
import { exposition } from "../../../src/telemetry/exposition.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { ServerMetrics } from "../../../src/telemetry/server-metrics.ts";
import type { ServerState } from "../../../src/telemetry/server-metrics.ts";
import { ThreadMetrics } from "../../../src/telemetry/thread-metrics.ts";
import { FakeClock, parseExposition, sampleValue } from "./fixtures.ts";

function setUp() {
  const clock = new FakeClock();
  const reader = new SeriesReader();
  const writer = new SeriesWriter((batch) => reader.accept("control", batch));
  const scrape = async () => parseExposition(await exposition(reader));
  return { clock, reader, writer, scrape };
}

describe("envoy_server_*", () => {
  test("says how the process is when it is asked", async () => {
    const { clock, reader, writer, scrape } = setUp();
    let state: ServerState = "initializing";
    let dropped = 0;
    const expiries = new Map<string, number>();
    new ServerMetrics(reader, writer, {
      version: "1.2.3", concurrency: 2, state: () => state, certificateExpiries: () => expiries, droppedLogLines: () => dropped,
    }, clock);
    const before = await scrape();
    expect(sampleValue(before, "envoy_server_live")).toBe(0);
    expect(sampleValue(before, "envoy_server_state")).toBe(3);
    expect(sampleValue(before, "envoy_server_days_until_first_cert_expiring")).toBeUndefined();
    expect(sampleValue(before, "istio_build", { component: "proxy", tag: "1.2.3" })).toBe(1);
    expect(sampleValue(before, "envoy_server_concurrency")).toBe(2);
    expect(sampleValue(before, "envoy_server_memory_physical_size")).toBeGreaterThan(1e6);
    state = "live";
    dropped = 4;
    clock.nowMs += 65_500;
    expiries.set("default", clock.wallMs() + 2.5 * 86_400_000).set("other", clock.wallMs() + 9e9);
    const after = await scrape();
    expect(sampleValue(after, "envoy_server_live")).toBe(1);
    expect(sampleValue(after, "envoy_server_state")).toBe(0);
    expect(sampleValue(after, "envoy_server_uptime")).toBe(65);
    expect(sampleValue(after, "envoy_server_days_until_first_cert_expiring")).toBe(2);
    expect(sampleValue(after, "istio_agent_cert_expiry_seconds", { resource_name: "default" })).toBe(216_000);
    expect(sampleValue(after, "outrider_log_dropped_lines_total")).toBe(4);
  });
});

describe("outrider_config_*", () => {
  test("follows the configuration; a status nobody has any more reads 0", async () => {
    const { clock, reader, writer, scrape } = setUp();
    let facts: ConfigFacts = {
      generation: 1, appliedAtMs: 1000, lastReloadSucceeded: false, lastAttemptMs: 9000, lastSuccessMs: null, unsupportedFields: 3, isSaved: null,
      objectsNotApplied: [{ kind: "Sidecar", namespace: "shop", name: "s", state: "rejected" }], objectsByStatus: { applied: 3, rejected: 1 }, problemsBySeverity: { error: 1 },
    };
    new ConfigMetrics(reader, writer, () => facts, clock);
    clock.nowMs = 3000;
    const before = await scrape();
    expect(sampleValue(before, "outrider_config_generation")).toBe(1);
    expect(sampleValue(before, "outrider_config_age_seconds")).toBe(2);
    expect(sampleValue(before, "outrider_config_last_reload_success")).toBe(0);
    expect(sampleValue(before, "outrider_config_objects", { status: "rejected" })).toBe(1);
    expect(sampleValue(before, "outrider_config_problems", { severity: "warning" })).toBe(0);
    expect(sampleValue(before, "outrider_config_object_status", { kind: "Sidecar", namespace: "shop", name: "s", status: "rejected" })).toBe(1);
    expect(sampleValue(before, "outrider_config_unsupported_fields")).toBe(3);
    expect([sampleValue(before, "outrider_config_last_attempt_timestamp_seconds"), sampleValue(before, "outrider_config_last_success_timestamp_seconds")]).toEqual([9, 0]);
    expect(sampleValue(before, "outrider_config_saved")).toBeUndefined();
    facts = { generation: 2, appliedAtMs: 3000, lastReloadSucceeded: true, lastAttemptMs: 9000, lastSuccessMs: 9000, unsupportedFields: 0, isSaved: true, objectsNotApplied: [], objectsByStatus: { applied: 4 }, problemsBySeverity: {} };
    const after = await scrape();
    expect(sampleValue(after, "outrider_config_objects", { status: "applied" })).toBe(4);
    expect(sampleValue(after, "outrider_config_objects", { status: "rejected" })).toBe(0);
    expect(sampleValue(after, "outrider_config_problems", { severity: "error" })).toBe(0);
    expect(sampleValue(after, "outrider_config_last_reload_success")).toBe(1);
    expect(sampleValue(after, "outrider_config_object_status", { kind: "Sidecar", namespace: "shop", name: "s", status: "rejected" })).toBe(0);
    expect(sampleValue(after, "outrider_config_saved")).toBe(1);
  });

  test("names no more objects than it has room for", async () => {
    const { clock, reader, writer, scrape } = setUp();
    const objectsNotApplied = Array.from({ length: 500 }, (_, index) => ({ kind: "Service", namespace: "default", name: `s${index}`, state: "rejected" }));
    const facts: ConfigFacts = {
      generation: 1, appliedAtMs: null, lastReloadSucceeded: false, lastAttemptMs: null, lastSuccessMs: null, unsupportedFields: 0, isSaved: null, objectsNotApplied,
      objectsByStatus: { rejected: 500 }, problemsBySeverity: {},
    };
    new ConfigMetrics(reader, writer, () => facts, clock);
    expect((await scrape()).filter(({ name }) => name === "outrider_config_object_status")).toHaveLength(200);
  });
});

describe("thread metrics", () => {
  test("show a stalled event loop", async () => {
    const { clock, writer, scrape } = setUp();
    const timers = new TimerWheel(clock, { isDriven: true });
    const metrics = new ThreadMetrics(writer, "data-0", timers);
    try {
      await new Promise((resolve) => setTimeout(resolve, 120));
      const end = Date.now() + 400;
      while (Date.now() < end) Math.sqrt(2);
      await new Promise((resolve) => setTimeout(resolve, 120));
      clock.nowMs += 5010;
      timers.advance();
      const samples = await scrape();
      expect(sampleValue(samples, "outrider_event_loop_delay_milliseconds", { thread: "data-0", quantile: "1" })).toBeGreaterThan(200);
      expect(sampleValue(samples, "outrider_heap_used_bytes", { thread: "data-0" })).toBeGreaterThan(1e6);
      expect(timers.count).toBe(1);
    } finally {
      metrics.stop();
    }
    expect(timers.count).toBe(0);
  });
});
