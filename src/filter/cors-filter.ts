import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { LocalReply } from "../message/local-reply.ts";
import { CorsPolicy } from "./cors-policy.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { FilterMetrics } from "./filter-metrics.ts";

const ALLOW_ORIGIN = "access-control-allow-origin";
const ALLOW_CREDENTIALS = "access-control-allow-credentials";

/**
 * Cross-origin resource sharing as the route says (`spec/03` 3.10, the Fetch standard's CORS protocol): preflights are
 * answered here, the answers to actual requests are marked. Who may call whom is not decided by it: browsers obey it,
 * others need not.
 */
export class CorsFilter implements Filter {
  readonly name = "cors";
  readonly #metrics: FilterMetrics;

  constructor(metrics: FilterMetrics) {
    this.#metrics = metrics;
  }

  check(request: FilterRequest): Verdict {
    const spec = request.route?.cors;
    if (spec === undefined) return undefined;
    const { headers } = request.head;
    const origin = headers.get("origin");
    if (origin === undefined || origin === "") return undefined;
    const policy = CorsPolicy.of(spec);
    const asked = request.head.method === "OPTIONS" ? headers.get("access-control-request-method") : undefined;
    const isPreflight = asked !== undefined && asked !== "";
    const isAllowed = policy.allows(origin);
    this.#metrics.corsOrigin(isAllowed);
    if (!isAllowed) return isPreflight && spec.unmatchedPreflights === "IGNORE" ? answer([]) : undefined;
    if (isPreflight) return answer(preflightHeaders(policy, origin, asked, headers));
    request.changeResponse((head) => allow(head, policy, origin));
    return undefined;
  }
}

function answer(headers: LocalReply["headers"]): LocalReply {
  return { status: 200, headers, body: "", flag: "-", details: "cors_response" };
}

function preflightHeaders({ spec, methods, headers: names }: CorsPolicy, origin: string, method: string, asked: HeaderList): [string, string][] {
  const headers: [string, string][] = [[ALLOW_ORIGIN, origin]];
  if (spec.allowCredentials) headers.push([ALLOW_CREDENTIALS, "true"]);
  if (methods !== null) headers.push(["access-control-allow-methods", methods === "*" ? method : methods]);
  const allowed = names === "*" ? asked.joined("access-control-request-headers") : names;
  if (allowed !== null && allowed !== undefined) headers.push(["access-control-allow-headers", allowed]);
  if (spec.maxAgeSeconds !== null) headers.push(["access-control-max-age", String(spec.maxAgeSeconds)]);
  return headers;
}

/** What the application said of it itself is replaced. */
function allow({ headers }: ResponseHead, { spec, exposed }: CorsPolicy, origin: string): void {
  headers.set(ALLOW_ORIGIN, origin);
  if (spec.allowCredentials) headers.set(ALLOW_CREDENTIALS, "true");
  if (exposed !== null) headers.set("access-control-expose-headers", exposed);
}
