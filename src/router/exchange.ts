import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { RequestHash } from "../cluster/request-hash.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import type { ForwardSpec } from "../config/snapshot.ts";
import type { Timer } from "../core/timer-wheel.ts";
import type { ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { effectiveStatus } from "../message/grpc-status.ts";
import { markNoRetry } from "../message/no-retry.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamConnection, UpstreamStream } from "../message/stream.ts";
import { acquireRequest } from "./acquire-request.ts";
import { tellAttempt } from "./attempt-headers.ts";
import { CountedRetry } from "./counted-retry.ts";
import { describeUpstream } from "./describe-upstream.ts";
import { ExchangeTimeout, type ExchangeTimeoutOwner } from "./exchange-timeout.ts";
import { GuardedReceiver } from "./guarded-receiver.ts";
import type { Mirrors } from "./mirrors.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { type Retry, type RetryDecision, RetryState } from "./retry-policy.ts";
import type { RoutedStream } from "./routed-stream.ts";
import type { RouterParts } from "./router-parts.ts";
import { TrailersFirst } from "./trailers-first.ts";
import { TriedEndpoints } from "./tried-endpoints.ts";

/**
 * - `acquiring`: waiting for a connection to an endpoint.
 * - `sending`: the request is on its way, no response head yet.
 * - `backing-off`: an attempt failed, the next one is due.
 * - `responding`: the response head was passed on; no way back.
 * - `done`.
 */
type Phase = "acquiring" | "sending" | "backing-off" | "responding" | "done";

/**
 * One request on its way through its attempts: acquires a connection, sends, times, retries, and passes the response
 * on. It is the receiver of every attempt; an attempt given up falls silent first, so its events never mix with
 * those of the next.
 *
 * After 101 it is a tunnel: no retries and no time limits, and over when both directions have ended.
 */
export class Exchange extends GuardedReceiver implements ExchangeTimeoutOwner {
  readonly #stream: RoutedStream;
  readonly #cluster: Cluster;
  readonly #action: ForwardSpec;
  readonly #retries: RetryState;
  readonly #retrying: CountedRetry;
  readonly #body: ReplayBuffer;
  readonly #timeout: ExchangeTimeout | null;
  readonly #readsTrailers: boolean;
  /** What the cluster's balancer hashes of the request; null: nothing. */
  readonly #hash: RequestHash | null;
  /** Copies of the request; set before `start`. Null: there are none. */
  mirrors: Mirrors | null = null;
  #phase: Phase = "acquiring";
  #acquisition: Acquisition | null = null;
  #upstream: UpstreamStream | null = null;
  #lease: RequestLease | null = null;
  #tried: TriedEndpoints | null = null;
  #requestEnded: boolean;
  #requestTrailers: HeaderList | null = null;
  #requestEndedAtMs = 0;
  #isRequestPaused = false;
  #isTunnel = false;
  #responseEnded = false;
  #needsFreshConnection = false;
  /** Status of a response head that is not counted until its trailers have come; 0: none is. */
  #uncountedStatus = 0;
  #tryTimer: Timer | null = null;

  constructor(stream: RoutedStream, cluster: Cluster, action: ForwardSpec, requestEnded: boolean, parts: RouterParts) {
    super(parts);
    this.#stream = stream;
    this.#cluster = cluster;
    this.#action = action;
    this.#retries = new RetryState(action.retry, stream.head, parts.random);
    this.#retrying = new CountedRetry(cluster, stream.info, parts.gaveUp);
    this.#body = new ReplayBuffer(action.retry !== null);
    this.#requestEnded = requestEnded;
    this.#readsTrailers = action.readsGrpcTrailers === true && stream.info.isGrpc;
    this.#hash = cluster.hasher === null ? null : cluster.hasher.of(stream.head, stream.connection);
    this.#timeout = ExchangeTimeout.of(stream, action.timeoutMs, parts.clock, this);
  }

  /** Begins the first attempt. */
  start(): void {
    this.#cluster.requestBegan(this.#stream.info.startedAtMs);
    this.#timeout?.start();
    if (this.#requestEnded) this.#onRequestComplete();
    this.#attempt();
    // The original goes first; where it could go nowhere, no copy is made (as in Envoy).
    if (this.mirrors !== null && this.#phase !== "done") this.mirrors.start();
  }

  // === The request, from downstream ===

  requestData(chunk: Buffer): void {
    if (this.#phase === "done") return;
    const upstream = this.#upstream;
    this.#body.add(chunk, upstream !== null);
    if (upstream === null ? this.#body.isFull : !upstream.write(chunk)) this.#pauseRequest();
    this.mirrors?.requestData(chunk);
  }

  requestEnd(trailers: HeaderList | null): void {
    if (this.#phase === "done") return;
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    this.#upstream?.end(trailers);
    this.mirrors?.requestEnd(trailers);
    if (!this.#isTunnel) {
      this.#onRequestComplete();
    } else if (this.#responseEnded) {
      // Both directions have ended in order: there is nothing to cut.
      this.#upstream = null;
      this.#finish();
    }
  }

  /** The downstream took what was buffered of the response. */
  downstreamDrained(): void {
    this.#upstream?.resume();
  }

  /** The downstream is gone: whatever is under way is given up. */
  abort(): void {
    this.#finish();
  }

  // === The response, from upstream ===

  protected override onInformational(head: ResponseHead): void {
    // The downstream has heard of this attempt: another may not follow (`spec/07` 7.6).
    this.#retries.stop();
    this.#body.stopKeeping();
    this.#stream.respondInformational(head);
  }

  protected override onData(chunk: Buffer): void {
    if (!this.#stream.respondData(chunk)) this.#upstream?.pause();
  }

  protected override onEnd(trailers: HeaderList | null): void {
    // Of a tunnel, the other direction goes on.
    this.#responseEnded = this.#isTunnel && !this.#requestEnded;
    if (this.#responseEnded) this.#stream.respondEnd(null);
    else this.#settle(null, trailers);
  }

  protected override onDrain(): void {
    this.#resumeRequest();
  }

  protected override onReset(error: ProxyError): void {
    this.#countStatus();
    this.#lease?.reportReset(error);
    this.#attemptFailed(error);
  }

  protected override onHead(head: ResponseHead, end: boolean): void {
    this.#cancelTryTimer();
    const status = this.#uncountedStatus = effectiveStatus(head.status, end ? head.headers : null);
    // One that the trailers may belie is counted with them: a success first would hide every failure behind it.
    if (end || !this.#readsTrailers) this.#countStatus();
    const retry = this.#beginRetry(this.#retries.onResponse(head.status, head.headers, this.#body.canReplay), true, true);
    if (retry !== null) {
      if (!end) this.#upstream?.reset();
      this.#endAttempt();
      this.#attemptAfter(retry.backoffMs);
      return;
    }
    if (this.#retrying.hasGivenUp || (status >= 500 && this.#isFailureOfCalls())) markNoRetry(head.headers);
    this.#phase = "responding";
    this.#isTunnel = head.status === 101;
    this.#body.stopKeeping();
    if (this.#hash !== null && this.#hash.setCookie !== null) head.headers.append("set-cookie", this.#hash.setCookie);
    this.#stream.info.upstreamServiceMs = this.#requestEnded ? this.parts.clock.monotonicMs() - this.#requestEndedAtMs : 0;
    if (end) this.#settle(head, null);
    else this.#stream.respond(head, false);
  }

  // === Attempts ===

  #attempt(): void {
    this.#phase = "acquiring";
    const { info } = this.#stream;
    const attempt = ++info.attempts;
    if (info.direction === "outbound") tellAttempt(this.#stream.head.headers, attempt, this.#expectedMs());
    this.#startTryTimer();
    this.#acquisition = null;
    const acquisition = this.#cluster.acquire(acquireRequest(this.#stream, this.#cluster, this.#tried?.excluded ?? null, this.#needsFreshConnection, this.#hash?.hash ?? null), this);
    // The answer, and the next attempt, may have come within the call; only a wait is kept, to be cancelled.
    if (this.#phase === "acquiring" && info.attempts === attempt) this.#acquisition = acquisition;
  }

  /** Nothing was sent. */
  protected override onFailed(error: ProxyError, endpoint: Endpoint | null): void {
    this.#acquisition = null;
    if (endpoint !== null) describeUpstream(this.#stream.info, endpoint, null);
    this.#rememberTried(endpoint);
    this.#attemptFailed(error);
  }

  /** Sends the request as far as it has come. */
  protected override onReady(connection: UpstreamConnection, lease: RequestLease): void {
    this.#acquisition = null;
    this.#lease = lease;
    this.#phase = "sending";
    describeUpstream(this.#stream.info, lease.endpoint, lease);
    const head = this.#stream.head;
    this.#timeout?.tellDeadline();
    const hasNoBody = head.contentLength === 0 && this.#requestEnded;
    const upstream = this.#upstream = connection.request(head, hasNoBody, this.#readsTrailers ? new TrailersFirst(this) : this);
    const isWritable = this.#body.sendAll((chunk) => upstream.write(chunk));
    if (this.#requestEnded && !hasNoBody) upstream.end(this.#requestTrailers);
    if (isWritable) this.#resumeRequest();
  }

  #attemptFailed(error: ProxyError): void {
    this.#cancelTryTimer();
    if (this.#phase === "responding") {
      this.#finish();
      this.#stream.fail(error, false);
      return;
    }
    const wasSent = this.#upstream !== null && !error.isUnsent;
    const retry = this.#beginRetry(this.#retries.onReset(error, wasSent, this.#body.canReplay), false, wasSent);
    this.#endAttempt();
    if (retry !== null) {
      this.#attemptAfter(retry.backoffMs);
      return;
    }
    this.#finish();
    this.#stream.info.transportFailure = error.reason === "" ? null : error.reason;
    this.#stream.fail(error, this.#stream.info.attempts > 1, this.#retrying.hasGivenUp);
  }

  /** The application failed a request after what it asked of others for it had failed, retries and all. */
  #isFailureOfCalls(): boolean {
    const { info } = this.#stream;
    return info.direction === "inbound" && this.parts.gaveUp?.take(info.requestId) === true;
  }

  /** The retry to make after this decision; null when there is to be none. */
  #beginRetry(decision: RetryDecision, isAnswer: boolean, wasSent: boolean): Retry | null {
    const retry = this.#retrying.begin(decision, isAnswer, wasSent);
    if (retry === null) return null;
    this.#needsFreshConnection = retry.needsFreshConnection;
    // A stale connection says nothing against its endpoint.
    if (!retry.needsFreshConnection) this.#rememberTried(this.#lease?.endpoint ?? null);
    return retry;
  }

  #attemptAfter(backoffMs: number): void {
    this.#body.rewind();
    if (backoffMs === 0) {
      this.#attempt();
      return;
    }
    this.#phase = "backing-off";
    this.#tryTimer = this.after(backoffMs, () => {
      this.#tryTimer = null;
      this.#attempt();
    });
  }

  #rememberTried(endpoint: Endpoint | null): void {
    if (endpoint !== null) (this.#tried ??= new TriedEndpoints(this.#cluster, this.#action.retry)).add(endpoint);
  }

  /** Tells the cluster how the endpoint answered; 0: it has been told, or there is nothing to tell. */
  #countStatus(status = this.#uncountedStatus): void {
    this.#uncountedStatus = 0;
    if (status !== 0) this.#lease?.reportStatus(status);
  }

  #endAttempt(): void {
    this.#countStatus();
    this.#upstream = null;
    this.#lease?.release();
    this.#lease = null;
  }

  // === Time ===

  #onRequestComplete(): void {
    this.#requestEndedAtMs = this.parts.clock.monotonicMs();
    this.#timeout?.requestComplete();
    // The timer of a back-off, which is the same, has to stay.
    if (this.#tryTimer === null && (this.#phase === "acquiring" || this.#phase === "sending")) this.#startTryTimer();
  }

  /** How long an attempt that begins now may take; Infinity: as long as it likes. */
  #expectedMs(): number {
    const leftMs = this.#timeout === null ? Number.POSITIVE_INFINITY : this.#timeout.leftMs;
    const { perTryTimeoutMs } = this.#retries;
    return perTryTimeoutMs > 0 ? Math.min(perTryTimeoutMs, leftMs) : leftMs;
  }

  #startTryTimer(): void {
    this.#cancelTryTimer();
    const { perTryTimeoutMs } = this.#retries;
    if (perTryTimeoutMs > 0 && this.#requestEnded) this.#tryTimer = this.after(perTryTimeoutMs, () => this.#onTryTimeout());
  }

  #cancelTryTimer(): void {
    this.#tryTimer?.cancel();
    this.#tryTimer = null;
  }

  #onTryTimeout(): void {
    const error = new ProxyError("per_try_timeout");
    this.#lease?.reportReset(error);
    this.#giveUpAttempt();
    this.#attemptFailed(error);
  }

  /** For `ExchangeTimeout`: time is up. */
  timedOut(): void {
    const error = new ProxyError("response_timeout");
    if (this.#phase === "sending") this.#lease?.reportReset(error);
    this.#finish();
    this.#stream.fail(error, false);
  }

  // === The end ===

  #settle(head: ResponseHead | null, trailers: HeaderList | null): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    if (this.#uncountedStatus !== 0) this.#countStatus(effectiveStatus(this.#uncountedStatus, trailers));
    // A response that is complete before its request ends the exchange: the rest of the request goes nowhere.
    if (!this.#requestEnded) upstream?.reset();
    this.#finish();
    if (head !== null) this.#stream.respond(head, true);
    else this.#stream.respondEnd(trailers);
  }

  #finish(): void {
    this.#retrying.release();
    this.#phase = "done";
    this.mirrors?.requestOver();
    this.#cancelTryTimer();
    this.#timeout?.cancel();
    this.#giveUpAttempt();
    this.#endAttempt();
    this.#body.clear();
  }

  #giveUpAttempt(): void {
    this.#acquisition?.cancel();
    this.#acquisition = null;
    this.#upstream?.reset();
  }

  #pauseRequest(): void {
    this.#isRequestPaused = true;
    this.#stream.pauseRequest();
  }

  #resumeRequest(): void {
    if (!this.#isRequestPaused) return;
    this.#isRequestPaused = false;
    this.#stream.resumeRequest();
  }

  protected override breakOff(cause: unknown): void {
    this.#finish();
    this.#stream.fail(new ProxyError("internal", String(cause), { cause }), false);
  }
}
