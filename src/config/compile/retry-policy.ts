import type { RetryCondition, RetrySpec } from "../snapshot.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PortProtocol } from "./port-protocol.ts";

/** `retries` of a VirtualService, or the mesh's `defaultHttpRetryPolicy`, which has no `perTryTimeout`. */
interface RetryInput {
  readonly attempts: number;
  readonly perTryTimeout?: number | undefined;
  readonly retryOn?: string | undefined;
  readonly backoff?: number | undefined;
  readonly retryIgnorePreviousHosts?: boolean | undefined;
  readonly retryRemoteLocalities?: boolean | undefined;
}

const CONDITIONS: ReadonlySet<string> = new Set<RetryCondition>([
  "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "refused-stream",
  "retriable-4xx", "retriable-status-codes", "retriable-headers", "envoy-ratelimited",
  "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
]);

/** Istio's built-in conditions; with no statuses listed, `retriable-status-codes` holds for none. */
const DEFAULT_CONDITIONS: readonly RetryCondition[] = [
  "connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes",
];
const DEFAULT_ATTEMPTS = 2;
const DEFAULT_BACKOFF_MS = 25;

/**
 * The retry policy of a route (spec/03 3.5 to 3.7): the rule's own, else the mesh's, else the built-in one. Null where
 * nothing is repeated.
 */
export function compileRetry(own: RetryInput | undefined, mesh: MeshSettings): RetrySpec | null {
  const input: RetryInput = own ?? mesh.defaultHttpRetryPolicy ?? { attempts: DEFAULT_ATTEMPTS };
  if (input.attempts <= 0) return null;
  const isExplicit = input.retryOn !== undefined && input.retryOn.trim() !== "";
  const { conditions, statuses } = isExplicit ? parseRetryOn(input.retryOn ?? "") : { conditions: [...DEFAULT_CONDITIONS], statuses: [] };
  const backoffBaseMs = input.backoff ?? DEFAULT_BACKOFF_MS;
  return {
    attempts: input.attempts,
    // The mesh's policy has none: Istio takes no notice of it there.
    perTryTimeoutMs: own?.perTryTimeout ?? 0,
    retryOn: conditions,
    retriableStatuses: statuses,
    backoffBaseMs,
    backoffMaxMs: backoffBaseMs * 10,
    isExplicit,
    ...(input.retryIgnorePreviousHosts === false ? { avoidsPreviousHosts: false } : {}),
    ...(input.retryRemoteLocalities === true ? { prefersRemoteLocalities: true } : {}),
  };
}

/**
 * The retry policy of the hop to the application (spec/02 2.8): of the mesh's `defaultInboundHttpRetryPolicy` the attempts, the
 * conditions and the back-off. Null where nothing is repeated, as on ports of gRPC; undefined for the built-in one.
 */
export function compileInboundRetry(protocol: PortProtocol, mesh: MeshSettings): RetrySpec | null | undefined {
  if (protocol === "GRPC") return null;
  const policy = mesh.meshConfig?.spec.defaultInboundHttpRetryPolicy;
  if (policy === undefined) return undefined;
  const { attempts, retryOn, backoff } = policy;
  return compileRetry({ attempts, retryOn: retryOn?.trim() || "reset-before-request", backoff }, mesh);
}

/**
 * The tokens of `retryOn`, comma-separated: conditions and HTTP statuses. Others, which the schema has warned of, and
 * those that cannot occur here (`http3-post-connect-failure`) are left out.
 */
export function parseRetryOn(text: string): { conditions: RetryCondition[]; statuses: number[] } {
  const conditions = new Set<RetryCondition>();
  const statuses = new Set<number>();
  for (const token of text.split(",").map((part) => part.trim())) {
    if (CONDITIONS.has(token)) conditions.add(token as RetryCondition);
    else if (/^[1-5]\d\d$/.test(token)) statuses.add(Number(token));
  }
  if (statuses.size > 0) conditions.add("retriable-status-codes");
  return { conditions: [...conditions], statuses: [...statuses] };
}
