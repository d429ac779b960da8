import { expect, it } from "vitest";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { RouteSeries } from "../../../src/telemetry/route-series.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";

it("counts the requests of routes with a statPrefix by class of status, and of no other", async () => {
  const reader = new SeriesReader();
  const series = new RouteSeries(new SeriesWriter((batch) => reader.accept("data-0", batch)));
  for (const [statPrefix, status] of [["canary", 200], ["canary", 204], ["canary", 503], ["canary", 0], ["stable", 200], [null, 200]] as const) {
    const info = new StreamInfo("outbound", { remote: { address: "::1", port: 1 }, local: { address: "::1", port: 2 }, isCaptured: false, tls: null }, 0);
    info.statPrefix = statPrefix;
    info.status = status;
    series.done(info);
  }
  await Promise.resolve();
  const value = (route: string, code: number): number | undefined => reader.value("envoy_vhost_route_upstream_rq_xx", { envoy_route: route, envoy_response_code_class: String(code) });
  expect([value("canary", 2), value("canary", 5), value("canary", 0), value("stable", 2)]).toEqual([2, 1, 1, 1]);
});
