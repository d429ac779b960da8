import { CorsPolicy } from "../filter/cors-policy.ts";
import type { FilterRequest } from "../filter/filter-chain.ts";
import type { FilterAccount } from "./recorded-filter.ts";
import { writtenAt } from "./written-at.ts";

/** What the fault gate says of a request. What happens to some requests only is said, and not drawn. */
export function accountOfFault({ route, info }: FilterRequest): FilterAccount | null {
  const fault = route?.fault;
  if (fault === undefined) return null;
  const { delay, abort } = fault;
  const parts: string[] = [];
  if (delay !== null) parts.push(`${share(delay.perMillion, "delays", "would delay")} by ${delay.durationMs} ms`);
  if (abort !== null) {
    const answer = abort.grpcStatus === null || !info.isGrpc ? `${abort.httpStatus}` : `gRPC status ${abort.grpcStatus}`;
    parts.push(`${share(abort.perMillion, "aborts", "would abort")} with ${answer}`);
  }
  return { ...writtenAt(route?.provenance ?? null), reason: parts.join(", "), nearMiss: null };
}

function share(perMillion: number, always: string, sometimes: string): string {
  return perMillion >= 1_000_000 ? `${always} every request` : `${sometimes} ${perMillion / 10_000} % of requests`;
}

/** What the CORS gate says of a request. */
export function accountOfCors({ route, head }: FilterRequest): FilterAccount | null {
  const spec = route?.cors;
  if (spec === undefined) return null;
  const origin = head.headers.get("origin");
  const reason = origin === undefined || origin === "" ? "there is no Origin header"
    : CorsPolicy.of(spec).allows(origin) ? `origin ${JSON.stringify(origin)} is allowed` : `origin ${JSON.stringify(origin)} is not allowed`;
  return { ...writtenAt(route?.provenance ?? null), reason, nearMiss: null };
}
