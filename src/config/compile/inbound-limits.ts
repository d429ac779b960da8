import type { InboundPortSpec } from "../snapshot.ts";
import type { RateLimitSpec } from "../snapshot-route.ts";
import type { OwnPort } from "./own-service.ts";
import type { ProblemList } from "./problem-list.ts";
import { annotatedLimits } from "./rate-limits.ts";

/** A port with the limits that the annotations of its services put on it: whoever dials it, by whichever service. */
export function withRateLimits(port: InboundPortSpec, own: readonly OwnPort[], problems: ProblemList): InboundPortSpec {
  const limits = new Map<string, RateLimitSpec>();
  for (const { number, service, port: servicePort } of own) {
    if (number !== port.port && service.host !== port.service?.host) continue;
    for (const { entry, limit } of annotatedLimits(service.resource, true, problems)) {
      const isMeant = entry.port === undefined || (number === port.port && entry.port === servicePort.number);
      if (isMeant) limits.set(limit.name, limit);
    }
  }
  return limits.size === 0 ? port : { ...port, rateLimits: [...(port.rateLimits ?? []), ...limits.values()] };
}
