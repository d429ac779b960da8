import type { RetryCondition, RetrySpec } from "../config/snapshot.ts";
import { backOffMs } from "../core/back-off.ts";
import type { Random } from "../core/random.ts";
import type { HeaderList } from "../message/header-list.ts";
import { saysNoRetry } from "../message/no-retry.ts";
import type { ProxyError, ProxyErrorCode } from "../message/proxy-error.ts";

/** Try again after `backoffMs`. `needsFreshConnection`: a pooled one has just proved stale. */
export interface Retry {
  readonly kind: "retry";
  readonly backoffMs: number;
  readonly needsFreshConnection: boolean;
  /** The attempt before may have reached the upstream; false: it certainly did not, or met a connection that was closed already. */
  readonly wasSent: boolean;
  /** Why, for logs: a condition of `spec/03` 3.6, `stale-connection`, or `unprocessed` for a stream the peer passed over. */
  readonly because: RetryCondition | "stale-connection" | "unprocessed";
}

export interface GiveUp {
  readonly kind: "give-up";
  /** For logs and `explain`. */
  readonly reason: "no-policy" | "told-not-to" | "not-retriable" | "not-idempotent" | "exhausted" | "stopped" | "body-not-kept";
}

export type RetryDecision = Retry | GiveUp;

/** Methods whose repetition changes nothing (RFC 9110 section 9.2.2). */
const IDEMPOTENT_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/** gRPC codes that have a condition of their own. */
const GRPC_CONDITIONS: ReadonlyMap<string, RetryCondition> = new Map<string, RetryCondition>([
  ["1", "cancelled"], ["4", "deadline-exceeded"], ["8", "resource-exhausted"], ["13", "internal"], ["14", "unavailable"],
]);

/**
 * Failures of an attempt, by what they prove:
 * - `connect`: no connection came about, so nothing was executed.
 * - `refused`: the peer says that it has not begun with it (RFC 9113 section 8.7), so nothing was executed either.
 * - `reset`: the attempt was cut or went unanswered; it may have been executed.
 * - `final`: not a failure of the attempt, or one that more traffic would make worse (overflow).
 */
type Failure = "connect" | "refused" | "reset";
const FAILURES: Partial<Record<ProxyErrorCode, Failure>> = {
  connect_failure: "connect",
  connect_timeout: "connect",
  tls_failure: "connect",
  refused_stream: "refused",
  upstream_disconnect: "reset",
  upstream_reset: "reset",
  upstream_protocol: "reset",
  per_try_timeout: "reset",
};

const giveUp = (reason: GiveUp["reason"]): GiveUp => ({ kind: "give-up", reason });
const NO_POLICY = giveUp("no-policy");
const TOLD_NOT_TO = giveUp("told-not-to");
const NOT_RETRIABLE = giveUp("not-retriable");
const NOT_IDEMPOTENT = giveUp("not-idempotent");
const EXHAUSTED = giveUp("exhausted");
const STOPPED = giveUp("stopped");
const BODY_NOT_KEPT = giveUp("body-not-kept");

/**
 * Decides, for one request, whether a failed attempt is followed by another. Pure: it counts and draws, it does not
 * wait or send.
 *
 * Never twice: under the built-in policy (`isExplicit` false) a request that may have been executed is repeated only if its
 * method is idempotent; a policy whose `retryOn` was written out is its owner's word and holds for every method, exactly
 * as `spec/03` 3.6 has it. Two things happen under any policy, and without one, each once and without counting as a
 * retry:
 * - A reused connection that died before the first response byte was most likely closed while it lay idle: an
 *   idempotent request is sent once more, on a fresh connection (faults row F04, RFC 9112 section 9.3.1).
 * - A stream its peer refused, or passed over when it went away, was not executed, whatever its method: it is sent once
 *   more, elsewhere if there is another endpoint (RFC 9113 section 8.7). After that the policy's `refused-stream` holds.
 */
export class RetryState {
  readonly #spec: RetrySpec | null;
  readonly #isIdempotent: boolean;
  readonly #random: Random;
  #retries = 0;
  #hasReplayedStale = false;
  #hasReplayedUnprocessed = false;
  #hasRetriedReset = false;
  #isStopped = false;

  /** `request.method` as on the wire; a null `spec` means that the route has no retry policy. */
  constructor(spec: RetrySpec | null, request: { readonly method: string }, random: Random) {
    this.#spec = spec;
    this.#isIdempotent = IDEMPOTENT_METHODS.has(request.method);
    this.#random = random;
  }

  /** Limit of one attempt in milliseconds, from the end of the request; 0: only the route's limit applies. */
  get perTryTimeoutMs(): number {
    return this.#spec?.perTryTimeoutMs ?? 0;
  }

  /** No attempt may follow: the downstream has been told something of this one. */
  stop(): void {
    this.#isStopped = true;
  }

  /**
   * A response head came. `canReplay`: the request body, as far as it was sent, can be sent again.
   * Costs two comparisons for an ordinary response.
   */
  onResponse(status: number, headers: HeaderList, canReplay = true): RetryDecision {
    const spec = this.#spec;
    if (spec === null) return NO_POLICY;
    const condition = responseCondition(spec, status, headers);
    if (condition === null) return NOT_RETRIABLE;
    // A proxy further on has tried what can be tried.
    if (saysNoRetry(headers)) return TOLD_NOT_TO;
    // Whoever answered may have executed the request first.
    if (!spec.isExplicit && !this.#isIdempotent) return NOT_IDEMPOTENT;
    return this.#retry(spec, condition, true, canReplay);
  }

  /**
   * An attempt failed before its response head. `wasSent`: any of the request may have reached the upstream.
   * `canReplay` as for `onResponse`.
   */
  onReset(error: ProxyError, wasSent: boolean, canReplay = true): RetryDecision {
    const failure = FAILURES[error.code];
    if (failure === undefined) return NOT_RETRIABLE;
    if (this.#isStale(error, wasSent)) return this.#replayStale(canReplay);
    if (failure === "refused" && !this.#hasReplayedUnprocessed) return this.#replayUnprocessed(canReplay);
    const spec = this.#spec;
    if (spec === null) return NO_POLICY;
    const mayBeExecuted = failure === "reset" && wasSent;
    const condition = resetCondition(spec, failure, wasSent);
    if (condition !== null && (spec.isExplicit || !mayBeExecuted || this.#isIdempotent)) return this.#retry(spec, condition, wasSent, canReplay);
    if (spec.isExplicit || error.code !== "upstream_disconnect") return condition === null ? NOT_RETRIABLE : NOT_IDEMPOTENT;
    return this.#retryResetOnce(spec, wasSent, canReplay);
  }

  /**
   * The built-in policy says nothing of resets, yet one that an idempotent request can be spared is spared: once, so
   * that a request that kills its server does not kill them all (faults row F03).
   */
  #retryResetOnce(spec: RetrySpec, wasSent: boolean, canReplay: boolean): RetryDecision {
    if (wasSent && !this.#isIdempotent) return NOT_IDEMPOTENT;
    if (this.#hasRetriedReset) return NOT_RETRIABLE;
    const decision = this.#retry(spec, "reset", wasSent, canReplay);
    if (decision.kind === "retry") this.#hasRetriedReset = true;
    return decision;
  }

  #isStale(error: ProxyError, wasSent: boolean): boolean {
    const isRace = error.code === "upstream_disconnect" && error.onReusedConnection;
    return isRace && !this.#hasReplayedStale && (this.#isIdempotent || !wasSent);
  }

  #replayStale(canReplay: boolean): RetryDecision {
    if (this.#isStopped) return STOPPED;
    if (!canReplay) return BODY_NOT_KEPT;
    this.#hasReplayedStale = true;
    return { kind: "retry", backoffMs: 0, needsFreshConnection: true, wasSent: false, because: "stale-connection" };
  }

  #replayUnprocessed(canReplay: boolean): RetryDecision {
    if (this.#isStopped) return STOPPED;
    if (!canReplay) return BODY_NOT_KEPT;
    this.#hasReplayedUnprocessed = true;
    return { kind: "retry", backoffMs: 0, needsFreshConnection: false, wasSent: true, because: "unprocessed" };
  }

  #retry(spec: RetrySpec, because: RetryCondition, wasSent: boolean, canReplay: boolean): RetryDecision {
    if (this.#isStopped) return STOPPED;
    if (!canReplay) return BODY_NOT_KEPT;
    if (this.#retries >= spec.attempts) return EXHAUSTED;
    this.#retries++;
    const backoffMs = backOffMs(this.#retries, spec.backoffBaseMs, spec.backoffMaxMs, this.#random);
    return { kind: "retry", backoffMs, needsFreshConnection: false, wasSent, because };
  }
}

/** The condition of 3.6 a response meets, or null. */
function responseCondition(spec: RetrySpec, status: number, headers: HeaderList): RetryCondition | null {
  const on = spec.retryOn;
  const condition = statusCondition(spec, status) ?? grpcCondition(on, headers);
  // An upstream that says it is overloaded is not asked again; one that limits rates only if its owner wants it.
  if (condition === null && !on.includes("envoy-ratelimited")) return null;
  if (headers.has("x-envoy-overloaded")) return null;
  if (headers.has("x-envoy-ratelimited")) return on.includes("envoy-ratelimited") ? "envoy-ratelimited" : null;
  return condition;
}

function statusCondition(spec: RetrySpec, status: number): RetryCondition | null {
  if (status < 400 && spec.retriableStatuses.length === 0) return null;
  const on = spec.retryOn;
  if (status >= 500 && on.includes("5xx")) return "5xx";
  if (status >= 502 && status <= 504 && on.includes("gateway-error")) return "gateway-error";
  if (status === 409 && on.includes("retriable-4xx")) return "retriable-4xx";
  if (on.includes("retriable-status-codes") && spec.retriableStatuses.includes(status)) return "retriable-status-codes";
  return null;
}

/** Only a status in the response head counts; one in trailers comes too late (`spec/07` 7.5). */
function grpcCondition(on: readonly RetryCondition[], headers: HeaderList): RetryCondition | null {
  const code = headers.get("grpc-status");
  if (code === undefined) return null;
  const condition = GRPC_CONDITIONS.get(code);
  return condition !== undefined && on.includes(condition) ? condition : null;
}

/** The condition of 3.6 a failed attempt meets, or null. */
function resetCondition(spec: RetrySpec, failure: Failure, wasSent: boolean): RetryCondition | null {
  const on = spec.retryOn;
  if (failure === "connect" && on.includes("connect-failure")) return "connect-failure";
  if (failure === "refused" && on.includes("refused-stream")) return "refused-stream";
  if (!wasSent && on.includes("reset-before-request")) return "reset-before-request";
  if (on.includes("5xx")) return "5xx";
  if (on.includes("gateway-error")) return "gateway-error";
  return on.includes("reset") ? "reset" : null;
}
