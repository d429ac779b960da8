import type { AdminSources } from "../../../src/admin/admin-sources.ts";

/** Sources of a ready proxy; a test changes what it is about. */
export function adminSources(change: Partial<AdminSources> = {}): AdminSources {
  return {
    version: "1.2.3",
    concurrency: 1,
    node: { podName: "reviews-v1-abc", namespace: "shop" },
    uptimeSeconds: () => 12.7,
    state: () => "live",
    isReady: () => true,
    waitingFor: () => [],
    metrics: () => Promise.resolve('# TYPE x counter\nx{a="b c"} 1\nx{a="d"} 0\n# TYPE y gauge\ny 2\n'),
    applicationMetrics: () => Promise.resolve(null),
    snapshot: () => ({ version: 7, limits: { maxConnections: Infinity } }),
    denial: async (id) => (id === "known" ? { id, reason: "rule 0 denies everything" } : null),
    configStatus: () => [{ resource: "VirtualService shop/reviews", status: "applied" }],
    clusters: () => Promise.resolve([{ name: "outbound|80||a", endpoints: [{ address: "10.0.0.1:80", cx_active: 1, health_flags: "healthy" }] }]),
    certificates: () => ({ certificates: [] }),
    logLevel: () => "info",
    setLogLevel: () => undefined,
    quit: () => undefined,
    drain: () => undefined,
    ...change,
  };
}
