import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RetryCondition, RetrySpec } from "../../../src/config/snapshot.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import type { ProxyErrorCode } from "../../../src/message/proxy-error.ts";
import { RetryState } from "../../../src/router/retry-policy.ts";

const DEFAULT_RETRY_ON: RetryCondition[] = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];

function policy(retryOn: RetryCondition[] = DEFAULT_RETRY_ON, more: Partial<RetrySpec> = {}): RetrySpec {
  return { attempts: 2, perTryTimeoutMs: 0, retryOn, retriableStatuses: [], backoffBaseMs: 25, backoffMaxMs: 250, isExplicit: false, ...more };
}
const explicit = (...retryOn: RetryCondition[]) => policy(retryOn, { isExplicit: true });
const state = (spec: RetrySpec | null, method: string) => new RetryState(spec, { method }, () => 0.999);
const reset = (code: ProxyErrorCode, onReusedConnection = false) => new ProxyError(code, "", { onReusedConnection });
const NONE = new HeaderList();

/** `retry` or the reason for giving up, of a first failure. */
function onReset(spec: RetrySpec | null, method: string, code: ProxyErrorCode, options: { wasSent?: boolean; isReused?: boolean } = {}): string {
  const decision = state(spec, method).onReset(reset(code, options.isReused), options.wasSent ?? true);
  return decision.kind === "retry" ? decision.because : decision.reason;
}
function onResponse(spec: RetrySpec | null, method: string, status: number, headers = NONE): string {
  const decision = state(spec, method).onResponse(status, headers);
  return decision.kind === "retry" ? decision.because : decision.reason;
}

describe("the built-in policy: never twice (promise P3, story 1)", () => {
  it("repeats any method when no connection came about", () => {
    for (const code of ["connect_failure", "connect_timeout", "tls_failure"] as const) {
      expect(onReset(policy(), "POST", code, { wasSent: false })).toBe("connect-failure");
    }
  });

  it("repeats a reset request only if its method is idempotent, and once (F03)", () => {
    expect(onReset(policy(), "POST", "upstream_disconnect")).toBe("not-idempotent");
    expect(onReset(policy(), "PATCH", "upstream_disconnect")).toBe("not-idempotent");
    expect(onReset(policy(), "get", "upstream_disconnect"), "methods are case-sensitive").toBe("not-idempotent");
    for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
      const retries = state(policy(), method);
      expect(retries.onReset(reset("upstream_disconnect"), true)).toMatchObject({ kind: "retry", because: "reset" });
      expect(retries.onReset(reset("upstream_disconnect"), true)).toMatchObject({ reason: "not-retriable" });
    }
  });

  it("does not repeat a POST that was answered 503, nor a GET (the empty status list of 3.7)", () => {
    expect(onResponse(policy(), "POST", 503)).toBe("not-retriable");
    expect(onResponse(policy(), "GET", 503)).toBe("not-retriable");
  });

  it("repeats a gRPC status in the head only for an idempotent method", () => {
    const unavailable = HeaderList.of(["grpc-status", "14"]);
    expect(onResponse(policy(), "GET", 200, unavailable)).toBe("unavailable");
    expect(onResponse(policy(), "POST", 200, unavailable)).toBe("not-idempotent");
    expect(onResponse(policy(), "GET", 200, HeaderList.of(["grpc-status", "13"]))).toBe("not-retriable");
    expect(onResponse(policy(), "GET", 200, HeaderList.of(["grpc-status", "0"]))).toBe("not-retriable");
  });

  it("leaves time-outs, protocol errors and local refusals alone", () => {
    for (const code of ["per_try_timeout", "upstream_protocol", "response_timeout", "overflow", "no_healthy_upstream"] as const) {
      expect(onReset(policy(), "GET", code)).toBe("not-retriable");
    }
  });

  it("never sends a request that may have been executed again unless its method is idempotent", () => {
    const codes = fc.constantFrom<ProxyErrorCode>("connect_failure", "upstream_disconnect", "upstream_protocol", "per_try_timeout", "overflow", "response_timeout");
    const conditions = fc.subarray<RetryCondition>(["5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "unavailable", "retriable-4xx"]);
    fc.assert(fc.property(codes, conditions, fc.boolean(), fc.constantFrom("POST", "PATCH", "FOO", "CONNECT"), (code, retryOn, isReused, method) => {
      const wasSent = code !== "connect_failure";
      const decision = state(policy(retryOn), method).onReset(reset(code, isReused), wasSent);
      return decision.kind === "give-up" || !wasSent;
    }));
    fc.assert(fc.property(conditions, fc.integer({ min: 200, max: 599 }), (retryOn, status) =>
      state(policy(retryOn, { retriableStatuses: [status] }), "POST").onResponse(status, NONE).kind === "give-up"));
  });
});

describe("the keep-alive race (story 2, F04)", () => {
  it("replays an idempotent request once, at once, on a fresh connection, under any policy and without one", () => {
    for (const spec of [policy(), explicit("retriable-4xx"), null]) {
      const retries = state(spec, "GET");
      expect(retries.onReset(reset("upstream_disconnect", true), true))
        .toEqual({ kind: "retry", backoffMs: 0, needsFreshConnection: true, wasSent: false, because: "stale-connection" });
      const again = retries.onReset(reset("upstream_disconnect", true), true);
      expect(again.kind === "retry" ? again.because : again.kind).not.toBe("stale-connection");
    }
  });

  it("never replays a POST that was written, and does replay one that was not", () => {
    expect(onReset(policy(), "POST", "upstream_disconnect", { isReused: true })).toBe("not-idempotent");
    expect(onReset(null, "POST", "upstream_disconnect", { isReused: true })).toBe("no-policy");
    expect(onReset(null, "POST", "upstream_disconnect", { isReused: true, wasSent: false })).toBe("stale-connection");
  });

  it("does not use up an attempt", () => {
    const retries = state(policy(), "GET");
    retries.onReset(reset("upstream_disconnect", true), true);
    expect(retries.onReset(reset("connect_failure"), false)).toMatchObject({ kind: "retry" });
    expect(retries.onReset(reset("connect_failure"), false)).toMatchObject({ kind: "retry" });
    expect(retries.onReset(reset("connect_failure"), false)).toMatchObject({ reason: "exhausted" });
  });
});

describe("a stream its peer did not process (C12, C14)", () => {
  it("is sent once more whatever its method, at once, under any policy and without one", () => {
    for (const spec of [policy(), explicit("retriable-4xx"), null]) {
      expect(state(spec, "POST").onReset(reset("refused_stream"), true))
        .toEqual({ kind: "retry", backoffMs: 0, needsFreshConnection: false, wasSent: true, because: "unprocessed" });
    }
  });

  it("is retried after that as the policy says, with its back-off", () => {
    const retries = state(policy(), "POST");
    retries.onReset(reset("refused_stream"), true);
    expect(retries.onReset(reset("refused_stream"), true)).toMatchObject({ because: "refused-stream", backoffMs: 24 });
    expect(retries.onReset(reset("refused_stream"), true)).toMatchObject({ because: "refused-stream" });
    expect(retries.onReset(reset("refused_stream"), true)).toMatchObject({ reason: "exhausted" });
    const without = state(null, "POST");
    without.onReset(reset("refused_stream"), true);
    expect(without.onReset(reset("refused_stream"), true)).toMatchObject({ reason: "no-policy" });
  });

  it("is no reset before the request: its head had been written", () => {
    const retries = state(explicit("reset-before-request"), "POST");
    retries.onReset(reset("refused_stream"), true);
    expect(retries.onReset(reset("refused_stream"), true)).toMatchObject({ reason: "not-retriable" });
  });

  it("is not replayed when its body is gone, or the downstream was told something", () => {
    expect(state(policy(), "POST").onReset(reset("refused_stream"), true, false)).toMatchObject({ reason: "body-not-kept" });
    const told = state(policy(), "POST");
    told.stop();
    expect(told.onReset(reset("refused_stream"), true)).toMatchObject({ reason: "stopped" });
  });

  it("is another thing than a stream the peer reset, which it may have executed", () => {
    expect(onReset(policy(), "POST", "upstream_reset")).toBe("not-retriable");
    expect(onReset(policy(), "GET", "upstream_reset")).toBe("not-retriable");
    expect(onReset(explicit("reset"), "POST", "upstream_reset")).toBe("reset");
  });
});

describe("a written policy: each condition of 3.6, for every method", () => {
  it.each<[RetryCondition, ProxyErrorCode, boolean, boolean]>([
    ["5xx", "upstream_disconnect", true, true],
    ["5xx", "per_try_timeout", true, true],
    ["5xx", "connect_timeout", false, true],
    ["5xx", "response_timeout", true, false],
    ["5xx", "overflow", false, false],
    ["gateway-error", "upstream_disconnect", true, true],
    ["gateway-error", "per_try_timeout", true, true],
    ["reset", "upstream_disconnect", true, true],
    ["reset", "per_try_timeout", true, true],
    ["reset", "upstream_protocol", true, true],
    ["reset", "overflow", false, false],
    ["reset-before-request", "upstream_disconnect", true, false],
    ["reset-before-request", "upstream_disconnect", false, true],
    ["reset-before-request", "connect_failure", false, true],
    ["reset-before-request", "per_try_timeout", true, false],
    ["refused-stream", "upstream_reset", true, false],
    ["refused-stream", "connect_failure", false, false],
    ["retriable-headers", "upstream_disconnect", true, false],
    ["envoy-ratelimited", "upstream_disconnect", true, false],
    ["connect-failure", "connect_failure", false, true],
    ["connect-failure", "tls_failure", false, true],
    ["connect-failure", "upstream_disconnect", true, false],
    ["connect-failure", "per_try_timeout", true, false],
    ["retriable-4xx", "upstream_disconnect", true, false],
  ])("%s on %s (sent: %s) is %s", (condition, code, wasSent, retried) => {
    for (const method of ["GET", "POST"]) {
      expect(onReset(explicit(condition), method, code, { wasSent }) === condition).toBe(retried);
    }
  });

  it.each<[RetryCondition, number, boolean]>([
    ["5xx", 500, true], ["5xx", 599, true], ["5xx", 499, false],
    ["gateway-error", 502, true], ["gateway-error", 503, true], ["gateway-error", 504, true], ["gateway-error", 500, false], ["gateway-error", 505, false],
    ["retriable-4xx", 409, true], ["retriable-4xx", 408, false], ["retriable-4xx", 429, false],
    ["retriable-status-codes", 418, true], ["retriable-status-codes", 503, false], ["retriable-status-codes", 200, true],
    ["connect-failure", 503, false], ["reset", 503, false], ["retriable-headers", 503, false],
  ])("%s on status %i is %s", (condition, status, retried) => {
    const spec = { ...explicit(condition), retriableStatuses: [418, 200] };
    expect(onResponse(spec, "POST", status) === condition).toBe(retried);
  });

  it.each<[RetryCondition, string]>([["cancelled", "1"], ["deadline-exceeded", "4"], ["resource-exhausted", "8"], ["internal", "13"], ["unavailable", "14"]])(
    "%s is gRPC status %s in the response head", (condition, code) => {
      expect(onResponse(explicit(condition), "POST", 200, HeaderList.of(["grpc-status", code]))).toBe(condition);
      expect(onResponse(explicit(condition), "POST", 200, HeaderList.of(["grpc-status", "2"]))).toBe("not-retriable");
      expect(onResponse(explicit(condition), "POST", 200)).toBe("not-retriable");
    });

  it("does not begin anew what a proxy further on has given up (F34)", () => {
    const told = HeaderList.of(["x-outrider-no-retry", "1"]);
    expect(onResponse(explicit("5xx"), "GET", 503, told)).toBe("told-not-to");
    expect(onResponse(explicit("retriable-4xx"), "GET", 503, told)).toBe("not-retriable");
  });

  it("asks an overloaded upstream never again, and a rate limit only by its own condition", () => {
    const overloaded = HeaderList.of(["x-envoy-overloaded", "true"]);
    const limited = HeaderList.of(["x-envoy-ratelimited", "true"]);
    expect(onResponse(explicit("5xx", "envoy-ratelimited"), "GET", 503, overloaded)).toBe("not-retriable");
    expect(onResponse(explicit("5xx"), "GET", 503, limited)).toBe("not-retriable");
    expect(onResponse(explicit("envoy-ratelimited"), "GET", 429, limited)).toBe("envoy-ratelimited");
    expect(onResponse(explicit("envoy-ratelimited"), "GET", 429)).toBe("not-retriable");
  });
});

describe("what is measured by the budget", () => {
  it("is a retry of what may have reached the upstream", () => {
    const sent = (code: ProxyErrorCode, wasSent: boolean): boolean | null => {
      const decision = state(explicit("5xx", "connect-failure"), "GET").onReset(reset(code), wasSent);
      return decision.kind === "retry" ? decision.wasSent : null;
    };
    expect([sent("connect_failure", false), sent("upstream_disconnect", true), sent("upstream_disconnect", false), sent("refused_stream", true)]).toEqual([false, true, false, true]);
    expect(state(explicit("5xx"), "GET").onResponse(503, NONE)).toMatchObject({ wasSent: true });
  });
});

describe("RetryState", () => {
  it("counts attempts and says when they are used up", () => {
    const retries = state(explicit("5xx"), "GET");
    expect(retries.onResponse(503, NONE)).toMatchObject({ kind: "retry", backoffMs: 24 });
    expect(retries.onResponse(503, NONE)).toMatchObject({ kind: "retry", backoffMs: 49 });
    expect(retries.onResponse(503, NONE)).toMatchObject({ kind: "give-up", reason: "exhausted" });
  });

  it("gives up once stopped, or when the body is not kept, without using URX", () => {
    const stopped = state(explicit("5xx"), "GET");
    stopped.stop();
    expect(stopped.onResponse(503, NONE)).toMatchObject({ reason: "stopped" });
    expect(stopped.onReset(reset("upstream_disconnect", true), true)).toMatchObject({ reason: "stopped" });
    expect(state(explicit("5xx"), "POST").onResponse(503, NONE, false)).toMatchObject({ reason: "body-not-kept" });
    expect(state(null, "PUT").onReset(reset("upstream_disconnect", true), true, false)).toMatchObject({ reason: "body-not-kept" });
  });

  it("does nothing without a policy, and tells its per-try limit", () => {
    expect(onResponse(null, "GET", 503)).toBe("no-policy");
    expect(onReset(null, "GET", "connect_failure", { wasSent: false })).toBe("no-policy");
    expect(state(null, "GET").perTryTimeoutMs).toBe(0);
    expect(state(policy([], { perTryTimeoutMs: 70 }), "GET").perTryTimeoutMs).toBe(70);
  });
});
