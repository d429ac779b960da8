import type { RateLimitSpec } from "../config/snapshot-route.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { GateParts } from "./gate-parts.ts";
import { addHeaders, addLimitFields, limitFields } from "./rate-limit-headers.ts";
import type { BucketVerdict } from "./rate-limiter.ts";
import type { RateLimiters } from "./rate-limiters.ts";

/** The local rate limits of the route (`spec/00` 0.6), in their order; the first that refuses answers. */
export class RateLimitFilter implements Filter {
  readonly name = "rate-limit";
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  check(request: FilterRequest): Verdict {
    const limits = request.route?.rateLimits;
    if (limits === undefined || this.#parts.limiters === null) return undefined;
    const nowNs = this.#parts.limiters.nowNs();
    for (let index = 0; index < limits.length; index++) {
      const reply = this.#checkOne(limits[index] as RateLimitSpec, this.#parts.limiters, request, nowNs);
      if (reply !== undefined) return reply;
    }
    return undefined;
  }

  #checkOne(spec: RateLimitSpec, limiters: RateLimiters, request: FilterRequest, nowNs: number): LocalReply | undefined {
    const { chance, metrics } = this.#parts;
    if (!chance(spec.enabledPerMillion)) return undefined;
    const verdict = limiters.of(spec, request.connection).take(request, nowNs);
    const isBeyond = verdict !== null && !verdict.isTaken;
    if (isBeyond && chance(spec.enforcedPerMillion)) {
      metrics.rateLimit(spec.statName, "refused");
      return this.#refuse(spec, verdict, request);
    }
    metrics.rateLimit(spec.statName, isBeyond ? "limited" : "ok");
    if (isBeyond) addHeaders(request.head.headers, spec.passedHeaders);
    if (verdict === null || spec.headers === "none") return undefined;
    request.changeResponse(({ headers }) => addLimitFields(headers, limitFields(spec, verdict)));
    return undefined;
  }

  /** Envoy's answer, with `Retry-After` (RFC 9110 10.2.3) where the client is told of the limit. */
  #refuse(spec: RateLimitSpec, verdict: BucketVerdict, request: FilterRequest): LocalReply {
    const headers: (readonly [string, string])[] = [["x-envoy-ratelimited", "true"], ...limitFields(spec, verdict)];
    if (spec.headers === "ratelimit") headers.push(["Retry-After", String(verdict.waitS)]);
    if (spec.refusalHeaders.length > 0) request.changeResponse((head) => addHeaders(head.headers, spec.refusalHeaders));
    return { status: spec.status, headers, body: "local_rate_limited", flag: "RL", details: "local_rate_limited", grpcStatus: spec.grpcStatus };
  }
}
