import type { Path } from "../resource.ts";
import type { Report } from "./report.ts";
import { didYouMean } from "./suggestion.ts";

/** The environment variables of `outrider proxy` that a ProxyConfig may set: not those that say where it is read from, who commands the proxy, or what guards its own requests. */
export const PROXY_ENVIRONMENT: readonly string[] = [
  "OUTRIDER_CERTS", "OUTRIDER_IDENTITY", "SPIFFE_ENDPOINT_SOCKET", "OUTRIDER_SPIFFE_HINT", "OUTRIDER_CONCURRENCY", "OUTRIDER_BIND", "OUTRIDER_OUTBOUND_PORT", "OUTRIDER_INBOUND_PORT", "OUTRIDER_ADMIN_PORT",
  "OUTRIDER_STATUS_PORT", "OUTRIDER_READY_PORT", "OUTRIDER_METRICS_PORT", "OUTRIDER_DNS_PORT", "OUTRIDER_HBONE_PORT", "OUTRIDER_LOCALITY",
  "OUTRIDER_CLOSE_EXPIRED", "OUTRIDER_DRAIN", "OUTRIDER_LOG_LEVEL", "OUTRIDER_LOG_FORMAT",
];

/** More data threads than this are not started. */
export const MAX_CONCURRENCY = 64;

/** Names every variable that would have no effect, and a number of threads that is cut. */
export function checkProxyStart(concurrency: number | undefined, environment: Readonly<Record<string, string>> | undefined, paths: { readonly concurrency: Path; readonly environment: Path }, report: Report): void {
  if (concurrency !== undefined && concurrency > MAX_CONCURRENCY) report.warn(paths.concurrency, `is more than ${MAX_CONCURRENCY}: ${MAX_CONCURRENCY} data threads are started`);
  for (const name of Object.keys(environment ?? {})) {
    if (PROXY_ENVIRONMENT.includes(name)) continue;
    report.warn([...paths.environment, name], `unsupported: ${name} is no variable that Outrider takes from here${didYouMean(name, PROXY_ENVIRONMENT)}; if the container needs it, set it there`);
  }
}
