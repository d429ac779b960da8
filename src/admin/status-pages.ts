import { EXPOSITION_TYPE } from "../telemetry/exposition.ts";
import type { AdminSources } from "./admin-sources.ts";
import { textPage } from "./http-endpoint.ts";
import type { Page, PageRoute } from "./http-endpoint.ts";

/** 15021: what the kubelet asks. 200 `ready`, or 503 with what is waited for, a line each. */
export function readyRoutes(sources: AdminSources): PageRoute[] {
  return [{
    path: "/healthz/ready",
    method: "GET",
    help: "200 when traffic may come, else 503 and what is waited for",
    handle: () => (sources.isReady() ? textPage(200, "ready\n") : textPage(503, `${sources.waitingFor().join("\n")}\n`)),
  }];
}

/** 15090: what Prometheus asks. */
export function metricsRoutes(sources: AdminSources): PageRoute[] {
  return [{
    path: "/stats/prometheus",
    method: "GET",
    help: "all metrics, Prometheus text format",
    handle: async () => metricsPage(await sources.metrics()),
  }];
}

/** 15020: both, and the metrics merged with the application's. */
export function statusRoutes(sources: AdminSources): PageRoute[] {
  return [...readyRoutes(sources), ...metricsRoutes(sources), {
    path: "/metrics",
    method: "GET",
    help: "all metrics, the application's behind the proxy's",
    handle: async () => {
      const [own, application] = await Promise.all([sources.metrics(), sources.applicationMetrics()]);
      return metricsPage(application === null ? own : `${own}${application}`);
    },
  }];
}

/** A page of text exposition. */
export function metricsPage(body: string): Page {
  return { status: 200, contentType: EXPOSITION_TYPE, body };
}
