import * as v from "valibot";
import { duration, durationOrZero } from "./duration.ts";
import { flag, integer, object, oneOf, uint32 } from "./field.ts";

const limit = integer(0, 2_147_483_647);

/** `ConnectionPoolSettings` of DestinationRule and Sidecar. 0 means "default" (`spec/04` 4.3). */
export const connectionPool = object({
  tcp: v.optional(object({
    maxConnections: v.optional(limit),
    connectTimeout: v.optional(duration),
    tcpKeepalive: v.optional(object({ probes: v.optional(uint32), time: v.optional(duration), interval: v.optional(duration) })),
    maxConnectionDuration: v.optional(duration),
    idleTimeout: v.optional(durationOrZero),
  })),
  http: v.optional(object({
    http1MaxPendingRequests: v.optional(limit),
    http2MaxRequests: v.optional(limit),
    maxRequestsPerConnection: v.optional(limit),
    maxRetries: v.optional(limit),
    idleTimeout: v.optional(duration),
    h2UpgradePolicy: v.optional(oneOf("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")),
    useClientProtocol: v.optional(flag),
    maxConcurrentStreams: v.optional(limit),
    http2KeepAlive: v.optional(object({ interval: duration, timeout: v.optional(duration) })),
  })),
});
export type ConnectionPool = v.InferOutput<typeof connectionPool>;
