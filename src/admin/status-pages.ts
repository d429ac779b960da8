import { EXPOSITION_TYPE } from "../telemetry/exposition.ts";
import type { AdminSources } from "./admin-sources.ts";
import { textPage } from "./http-endpoint.ts";
import type { Page, PageRoute } from "./http-endpoint.ts";
import type { RequestGuard } from "./request-guard.ts";

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

/** 15020: both, the metrics merged with the application's, and the way out for whom `guard` lets use it. */
export function statusRoutes(sources: AdminSources, guard: RequestGuard): PageRoute[] {
  return [...readyRoutes(sources), ...metricsRoutes(sources), {
    path: "/metrics",
    method: "GET",
    help: "all metrics, the application's behind the proxy's",
    handle: async () => {
      const [own, application] = await Promise.all([sources.metrics(), sources.applicationMetrics()]);
      return metricsPage(application === null ? own : `${own}${application}`);
    },
  }, ...exitRoutes(sources, guard)];
}

/** As Istio's agent has them, for a Job whose application is done. What follows begins when the answer is out. */
function exitRoutes(sources: AdminSources, guard: RequestGuard): PageRoute[] {
  const exit = (path: string, help: string, answer: string, sent: () => void): PageRoute => ({
    path, method: "POST", help, guard, handle: () => ({ ...textPage(200, `${answer}\n`), sent }),
  });
  return [
    exit("/quitquitquit", "drains and ends, as SIGTERM does", "draining, then ending", () => sources.quit()),
    exit("/drain", "drains and goes on", "draining", () => sources.drain()),
  ];
}

/** A page of text exposition. */
export function metricsPage(body: string): Page {
  return { status: 200, contentType: EXPOSITION_TYPE, body };
}
