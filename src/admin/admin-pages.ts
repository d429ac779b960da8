import type { ServerState } from "../telemetry/server-metrics.ts";
import type { AdminSources, ClusterStatus } from "./admin-sources.ts";
import { jsonPage, textPage } from "./http-endpoint.ts";
import type { Page, PageRoute } from "./http-endpoint.ts";
import { logLevelOf } from "./log-level.ts";
import { metricsRoutes } from "./status-pages.ts";

const STATE_NAMES: Readonly<Record<ServerState, string>> = {
  "live": "LIVE", "draining": "DRAINING", "pre-initializing": "PRE_INITIALIZING", "initializing": "INITIALIZING",
};

/** 15000: pages over living state (spec/06 6.9). What changes something needs POST. */
export function adminRoutes(sources: AdminSources): PageRoute[] {
  const pages: PageRoute[] = [
    get("/config_dump", "the configuration in force, compiled", () => jsonPage(sources.snapshot())),
    get("/config/status", "every object: applied, shadowed or rejected, and why", async () => jsonPage(await sources.configStatus())),
    get("/clusters", "endpoints and their state; ?format=json", async (query) => clustersPage(await sources.clusters(), query)),
    get("/explain/*", "why a request was denied, by the id in its x-outrider-authz", async (_query, id) => denialPage(await sources.denial(id))),
    get("/certs", "certificates and trust bundles", () => jsonPage(sources.certificates())),
    get("/stats", "every number, a line each; ?filter=TEXT &usedonly &format=prometheus", async (query) => statsPage(await sources.metrics(), query)),
    ...metricsRoutes(sources),
    get("/server_info", "version, state and options", () => serverInfoPage(sources)),
    get("/ready", "LIVE, or 503 and the state", () => readyPage(sources)),
    get("/logging", "the log level", () => textPage(200, `level: ${sources.logLevel()}\n`)),
    {
      path: "/logging",
      method: "POST",
      help: "sets the log level; ?level=debug|info|warn|error",
      handle: (query) => setLevel(sources, query),
    },
  ];
  return [get("/", "this page", () => indexPage(pages)), ...pages];
}

function get(path: string, help: string, handle: PageRoute["handle"]): PageRoute {
  return { path, method: "GET", help, handle };
}

function indexPage(pages: readonly PageRoute[]): Page {
  const rows = pages.map(({ method, path, help }) => {
    const name = method === "GET" && !path.endsWith("*") ? `<a href="${path}">${path}</a>` : path;
    return `<tr><td>${method}</td><td>${name}</td><td>${help.replaceAll("&", "&amp;")}</td></tr>`;
  });
  return {
    status: 200,
    contentType: "text/html; charset=utf-8",
    headers: { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'" },
    body: `<!doctype html><html lang="en"><title>Outrider</title><style>body{font-family:sans-serif}td{padding:.2em .8em .2em 0}</style>`
      + `<h1>Outrider</h1><table>${rows.join("\n")}</table></html>\n`,
  };
}

/** JSON, or Envoy's text: `cluster::address::name::value`. */
function clustersPage(clusters: readonly ClusterStatus[], query: URLSearchParams): Page {
  if (query.get("format") === "json") return jsonPage({ cluster_statuses: clusters });
  const lines: string[] = [];
  for (const cluster of clusters) {
    for (const { name, max } of cluster.limits ?? []) lines.push(`${cluster.name}::default_priority::${name}::${max}\n`);
    for (const endpoint of cluster.endpoints) {
      for (const [name, value] of Object.entries(endpoint)) {
        if (name !== "address") lines.push(`${cluster.name}::${endpoint.address}::${name}::${value}\n`);
      }
    }
  }
  return textPage(200, lines.join(""));
}

function denialPage(record: unknown): Page {
  return record === null ? textPage(404, "no such denial; only the last few hundred are kept, and none over a restart\n") : jsonPage(record);
}

/** `name{labels}: value`, from the exposition so that both say the same. The filter is plain text, not a pattern. */
function statsPage(exposition: string, query: URLSearchParams): Page {
  const format = query.get("format");
  if (format === "prometheus") return textPage(200, exposition);
  const filter = query.get("filter") ?? "";
  const isUsedOnly = query.has("usedonly");
  const lines: string[] = [];
  for (const line of exposition.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const space = line.lastIndexOf(" ");
    const value = line.slice(space + 1);
    if (isUsedOnly && value === "0") continue;
    if (line.includes(filter)) lines.push(`${line.slice(0, space)}: ${value}\n`);
  }
  return textPage(200, lines.join(""));
}

function serverInfoPage(sources: AdminSources): Page {
  return jsonPage({
    version: sources.version,
    state: STATE_NAMES[sources.state()],
    uptime_current_epoch: `${Math.floor(sources.uptimeSeconds())}s`,
    node: sources.node,
    command_line_options: { concurrency: sources.concurrency, log_level: sources.logLevel() },
    runtime: process.version,
  });
}

function readyPage(sources: AdminSources): Page {
  const state = sources.state();
  return textPage(state === "live" ? 200 : 503, `${STATE_NAMES[state]}\n`);
}

function setLevel(sources: AdminSources, query: URLSearchParams): Page {
  const level = logLevelOf(query.get("level") ?? "");
  if (level === null) return textPage(400, "usage: POST /logging?level=debug|info|warn|error\n");
  sources.setLogLevel(level);
  return textPage(200, `level: ${level}\n`);
}
