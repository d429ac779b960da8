import type { MtlsMode, RetryCondition } from "../config/snapshot.ts";
import type { Direction } from "../message/stream-info.ts";

/*
 * What `outrider explain -o json` prints, one object for each request. Names stay; more may be added. What does not
 * apply is null, or an empty list.
 */

/**
 * - `route`: it is sent on.
 * - `reply`: the proxy answers by itself: a direct response, a redirect, or an error that its own state is the cause of.
 * - `deny`: a policy forbids it. HTTP is answered, a connection that is opaque is closed.
 * - `reset`: the connection is closed without an answer.
 */
export type ExplainVerdict = "route" | "reply" | "deny" | "reset";

/** Where in the user's files something was written; nulls for what nobody wrote, such as the route of a service. */
export interface WrittenAt {
  /** `VirtualService ns/name`. */
  readonly resource: string | null;
  readonly rule: number | null;
  readonly file: string | null;
  /** 1-based. */
  readonly line: number | null;
  /** The VirtualService that delegated to this one; absent where none did. */
  readonly delegatedBy?: string;
}

/** The route that took the request. */
export interface ExplainedRoute extends WrittenAt {
  /** As access logs name it; empty for a rule without a name. */
  readonly name: string;
  /** What it does: `forward`, `direct-response`, `redirect`. */
  readonly action: string;
}

/** A route that was asked; the last one may be the one that took the request. */
export interface TriedRoute extends WrittenAt {
  readonly name: string;
  readonly isMatch: boolean;
  /** Why it was passed over, in words; null for the one that took it. */
  readonly reason: string | null;
  /** The condition that failed: `uri`, `headers.x-user`; null where none did. */
  readonly condition: string | null;
}

export interface ExplainedCluster {
  readonly name: string;
  readonly weight: number;
  /** `address:port` of those that may be picked; for a cluster without endpoints of its own, where the request was going. */
  readonly endpoints: readonly string[];
  /** Those that are used once too few of `endpoints` are healthy, since they are further away; absent: none. */
  readonly standby?: readonly string[];
  /** Endpoints that are not ready and never picked. */
  readonly unhealthy: readonly string[];
  /**
   * How it is spoken to: `mtls` where endpoints take mesh mTLS, `mixed` where some do, `tls` to a server outside of the mesh, `refused`
   * where nothing may be sent, else `plaintext`.
   */
  readonly transport: "mtls" | "mixed" | "tls" | "refused" | "plaintext";
  /** Why nothing may be sent to it, and which `tls` is to blame; absent: it may. */
  readonly refusal?: WrittenAt & { readonly reason: string };
}

/** The request as it is sent upstream. */
export interface SentRequest {
  readonly method: string;
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** Names in the order and case in which they are sent. */
  readonly headers: readonly (readonly [string, string])[];
}

export interface ExplainedRetries {
  /** Further tries after the first. */
  readonly attempts: number;
  /** 0: no limit of its own. */
  readonly perTryTimeoutMs: number;
  readonly retryOn: readonly RetryCondition[];
  readonly retriableStatuses: readonly number[];
  /** The owner wrote `retryOn` out, so that requests are repeated whatever their method. */
  readonly isExplicit: boolean;
  /** False: a retry may go to an endpoint that failed (`retryIgnorePreviousHosts`). */
  readonly avoidsPreviousHosts: boolean;
  /** Every second retry leaves the priorities that were tried (`retryRemoteLocalities`). */
  readonly prefersRemoteLocalities: boolean;
}

/** Where copies of the request go, which nobody waits for. */
export interface ExplainedMirror {
  readonly cluster: string;
  /** Of such requests. */
  readonly percent: number;
}

/** One gate the request came to, in the order in which it came to them. */
export interface ExplainedFilter extends WrittenAt {
  /** `mtls`, `rbac`, ... */
  readonly name: string;
  readonly verdict: "pass" | "deny" | "reply" | "skipped";
  /** In words; null where there is nothing to say. */
  readonly reason: string | null;
  /** Of a denial that no rule made. */
  readonly nearMiss: ExplainedNearMiss | null;
  /** The external authorizer that decides, and has not been asked; absent: none does. */
  readonly provider?: string;
}

/** The policy, rule and conditions nearest to letting a denied request pass. */
export interface ExplainedNearMiss extends WrittenAt {
  /** All that kept the rule from matching. */
  readonly failed: readonly { readonly condition: string; readonly wanted: readonly string[]; readonly unwanted: readonly string[]; readonly got: string | null }[];
}

/** What the port demands of its callers; the place is the PeerAuthentication that says so, nulls for the default. */
export interface ExplainedMtls extends WrittenAt {
  readonly mode: MtlsMode;
  /** How the request is taken to arrive. */
  readonly isTls: boolean;
  /** The SPIFFE ID its sender proved; null for none. */
  readonly peer: string | null;
}

export interface Explanation {
  readonly direction: Direction;
  readonly protocol: "http" | "tcp";
  readonly verdict: ExplainVerdict;
  /** What the proxy answers; null where it does not: the upstream's answer is passed on, or the connection closed. */
  readonly status: number | null;
  /** Envoy response flag, `-` for none. */
  readonly flag: string;
  /** Response code details; of a connection the reason in words. */
  readonly details: string;
  readonly route: ExplainedRoute | null;
  readonly clusters: readonly ExplainedCluster[];
  /** Null where nothing is sent, and for opaque bytes, which go as they came. */
  readonly request: SentRequest | null;
  /** 0: no limit; null where nothing is forwarded. */
  readonly timeoutMs: number | null;
  readonly retries: ExplainedRetries | null;
  readonly mirrors: readonly ExplainedMirror[];
  readonly filters: readonly ExplainedFilter[];
  /** In order; those after the one that matched were not asked. */
  readonly tried: readonly TriedRoute[];
  /** Where the request was going: the address, and the logical listener that took it (null: none knew it). */
  readonly destination: string;
  readonly listener: string | null;
  readonly virtualHost: string | null;
  /** Null for outbound. */
  readonly mtls: ExplainedMtls | null;
  /** What the proxy answers with by itself; null where it does not. */
  readonly reply: { readonly headers: readonly (readonly [string, string])[]; readonly body: string } | null;
}
