import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import type { ForwardSpec } from "../config/snapshot.ts";
import type { Timer } from "../core/timer-wheel.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamStream } from "../message/stream.ts";
import type { StreamInfo } from "../message/stream-info.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { type Retry, type RetryDecision, RetryState } from "./retry-policy.ts";
import type { RouterParts } from "./router-parts.ts";

/** What the router may do to the stream it serves. */
export interface RoutedStream {
  readonly head: RequestHead;
  readonly info: StreamInfo;
  readonly connection: ConnectionFacts;
  respondInformational(head: ResponseHead): void;
  respond(head: ResponseHead, end: boolean): void;
  respondData(chunk: Buffer): boolean;
  respondEnd(trailers: HeaderList | null): void;
  /** The exchange failed: a local reply before the response began, a cut after. */
  fail(error: ProxyError, isRetried: boolean): void;
  pauseRequest(): void;
  resumeRequest(): void;
}

/**
 * - `acquiring`: waiting for a connection to an endpoint.
 * - `sending`: the request is on its way, no response head yet.
 * - `backing-off`: an attempt failed, the next one is due.
 * - `responding`: the response head was passed on; no way back.
 * - `done`.
 */
type Phase = "acquiring" | "sending" | "backing-off" | "responding" | "done";

/** ALPN a mesh client offers for HTTP/1.1 (`spec/05` 5.4). */
const HTTP_ALPN: readonly string[] = ["istio-http/1.1", "istio", "http/1.1"];

/**
 * One request on its way through its attempts: acquires a connection, sends, times, retries, and passes the response
 * on. It is the receiver of every attempt; an attempt given up falls silent first, so its events never mix with
 * those of the next.
 */
export class Exchange implements ResponseReceiver {
  readonly #stream: RoutedStream;
  readonly #cluster: Cluster;
  readonly #action: ForwardSpec;
  readonly #parts: RouterParts;
  readonly #retries: RetryState;
  readonly #body: ReplayBuffer;
  #phase: Phase = "acquiring";
  #acquisition: Acquisition | null = null;
  #upstream: UpstreamStream | null = null;
  #lease: RequestLease | null = null;
  #tried: Set<Endpoint> | null = null;
  #requestEnded: boolean;
  #requestTrailers: HeaderList | null = null;
  #requestEndedAtMs = 0;
  #isRequestPaused = false;
  #holdsRetry = false;
  #needsFreshConnection = false;
  #routeTimer: Timer | null = null;
  #tryTimer: Timer | null = null;

  constructor(stream: RoutedStream, cluster: Cluster, action: ForwardSpec, requestEnded: boolean, parts: RouterParts) {
    this.#stream = stream;
    this.#cluster = cluster;
    this.#action = action;
    this.#parts = parts;
    this.#retries = new RetryState(action.retry, stream.head, parts.random);
    this.#body = new ReplayBuffer(action.retry !== null);
    this.#requestEnded = requestEnded;
  }

  /** Begins the first attempt. */
  start(): void {
    if (this.#requestEnded) this.#onRequestComplete();
    this.#attempt();
  }

  // === The request, from downstream ===

  requestData(chunk: Buffer): void {
    if (this.#phase === "done") return;
    const upstream = this.#upstream;
    this.#body.add(chunk, upstream !== null);
    if (upstream === null ? this.#body.isFull : !upstream.write(chunk)) this.#pauseRequest();
  }

  requestEnd(trailers: HeaderList | null): void {
    if (this.#phase === "done") return;
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    this.#upstream?.end(trailers);
    this.#onRequestComplete();
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

  informational(head: ResponseHead): void {
    // The downstream has heard of this attempt: another may not follow (`spec/07` 7.6).
    this.#retries.stop();
    this.#body.stopKeeping();
    this.#stream.respondInformational(head);
  }

  head(head: ResponseHead, end: boolean): void {
    this.#cancelTryTimer();
    this.#lease?.reportStatus(head.status);
    this.#stream.info.upstreamServiceMs = this.#requestEnded ? this.#parts.clock.monotonicMs() - this.#requestEndedAtMs : 0;
    const retry = this.#beginRetry(this.#retries.onResponse(head.status, head.headers, this.#body.canReplay));
    if (retry !== null) {
      if (!end) this.#upstream?.reset();
      this.#endAttempt();
      this.#attemptAfter(retry.backoffMs);
      return;
    }
    this.#phase = "responding";
    this.#body.stopKeeping();
    if (end) this.#settle(head, null);
    else this.#stream.respond(head, false);
  }

  data(chunk: Buffer): void {
    if (!this.#stream.respondData(chunk)) this.#upstream?.pause();
  }

  end(trailers: HeaderList | null): void {
    this.#settle(null, trailers);
  }

  drain(): void {
    this.#resumeRequest();
  }

  reset(error: ProxyError): void {
    this.#lease?.reportReset(error);
    this.#attemptFailed(error);
  }

  // === Attempts ===

  #attempt(): void {
    this.#phase = "acquiring";
    this.#stream.info.attempts++;
    this.#startTryTimer();
    this.#acquisition = null;
    const { connection } = this.#stream;
    const acquisition = this.#cluster.acquire({
      originalDestination: connection.isCaptured ? connection.local : null,
      alpn: HTTP_ALPN,
      excludedEndpoints: this.#tried,
      needsFreshConnection: this.#needsFreshConnection,
    }, this);
    // The answer may have come within the call; only a wait is kept, to be cancelled.
    if (this.#phase === "acquiring") this.#acquisition = acquisition;
  }

  /** A connection is ready: sends the request as far as it has come. */
  ready(connection: UpstreamConnection, lease: RequestLease): void {
    this.#acquisition = null;
    this.#lease = lease;
    this.#phase = "sending";
    this.#describeUpstream(lease);
    const head = this.#stream.head;
    const hasNoBody = head.contentLength === 0 && this.#requestEnded;
    this.#upstream = connection.request(head, hasNoBody, this);
    const upstream = this.#upstream;
    const isWritable = this.#body.sendAll((chunk) => upstream.write(chunk));
    if (this.#requestEnded && !hasNoBody) upstream.end(this.#requestTrailers);
    if (isWritable) this.#resumeRequest();
  }

  /** No connection could be had: nothing was sent. */
  failed(error: ProxyError, endpoint: Endpoint | null): void {
    this.#acquisition = null;
    if (endpoint !== null) this.#stream.info.upstreamHost = endpoint.name;
    this.#rememberTried(endpoint);
    this.#attemptFailed(error);
  }

  #attemptFailed(error: ProxyError): void {
    this.#cancelTryTimer();
    if (this.#phase === "responding") {
      this.#finish();
      this.#stream.fail(error, false);
      return;
    }
    const retry = this.#beginRetry(this.#retries.onReset(error, this.#upstream !== null, this.#body.canReplay));
    this.#endAttempt();
    if (retry !== null) {
      this.#attemptAfter(retry.backoffMs);
      return;
    }
    const isRetried = this.#stream.info.attempts > 1;
    this.#finish();
    this.#stream.info.transportFailure = error.reason === "" ? null : error.reason;
    this.#stream.fail(error, isRetried);
  }

  /** The retry to make after this decision, counted against the cluster's limit; null when there is to be none. */
  #beginRetry(decision: RetryDecision): Retry | null {
    this.#releaseRetry();
    if (decision.kind === "give-up") {
      if (decision.isExhausted) this.#stream.info.addFlag("URX");
      return null;
    }
    if (!this.#cluster.tryBeginRetry()) {
      this.#stream.info.addFlag("UO");
      return null;
    }
    this.#holdsRetry = true;
    this.#needsFreshConnection = decision.needsFreshConnection;
    // A stale connection says nothing against its endpoint.
    if (!decision.needsFreshConnection) this.#rememberTried(this.#lease?.endpoint ?? null);
    return decision;
  }

  #attemptAfter(backoffMs: number): void {
    if (backoffMs === 0) {
      this.#attempt();
      return;
    }
    this.#phase = "backing-off";
    this.#tryTimer = this.#parts.timers.schedule(backoffMs, () => {
      this.#tryTimer = null;
      this.#attempt();
    });
  }

  /** A retry counts against the cluster's limit until its outcome is known. */
  #releaseRetry(): void {
    if (this.#holdsRetry) this.#cluster.endRetry();
    this.#holdsRetry = false;
  }

  #rememberTried(endpoint: Endpoint | null): void {
    if (endpoint === null) return;
    this.#tried ??= new Set();
    this.#tried.add(endpoint);
  }

  #endAttempt(): void {
    this.#upstream = null;
    this.#lease?.release();
    this.#lease = null;
  }

  // === Time ===

  /** The route's time counts from the end of the request (`spec/03` 3.4). */
  #onRequestComplete(): void {
    this.#requestEndedAtMs = this.#parts.clock.monotonicMs();
    if (this.#action.timeoutMs > 0 && this.#phase !== "done") {
      this.#routeTimer = this.#parts.timers.schedule(this.#action.timeoutMs, () => this.#onRouteTimeout());
    }
    if (this.#tryTimer === null && this.#phase !== "responding") this.#startTryTimer();
  }

  #startTryTimer(): void {
    const perTryTimeoutMs = this.#action.retry?.perTryTimeoutMs ?? 0;
    if (perTryTimeoutMs === 0 || !this.#requestEnded) return;
    this.#tryTimer = this.#parts.timers.schedule(perTryTimeoutMs, () => this.#onTryTimeout());
  }

  #cancelTryTimer(): void {
    this.#tryTimer?.cancel();
    this.#tryTimer = null;
  }

  #onTryTimeout(): void {
    this.#tryTimer = null;
    const error = new ProxyError("per_try_timeout");
    this.#lease?.reportReset(error);
    this.#giveUpAttempt();
    this.#attemptFailed(error);
  }

  #onRouteTimeout(): void {
    this.#routeTimer = null;
    const error = new ProxyError("response_timeout");
    if (this.#phase === "sending") this.#lease?.reportReset(error);
    this.#finish();
    this.#stream.fail(error, false);
  }

  // === The end ===

  #settle(head: ResponseHead | null, trailers: HeaderList | null): void {
    const upstream = this.#upstream;
    this.#upstream = null;
    // A response that is complete before its request ends the exchange: the rest of the request goes nowhere.
    if (!this.#requestEnded) upstream?.reset();
    this.#finish();
    if (head !== null) this.#stream.respond(head, true);
    else this.#stream.respondEnd(trailers);
  }

  #finish(): void {
    this.#releaseRetry();
    this.#phase = "done";
    this.#cancelTryTimer();
    this.#routeTimer?.cancel();
    this.#routeTimer = null;
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

  #describeUpstream(lease: RequestLease): void {
    const info = this.#stream.info;
    info.upstreamHost = lease.endpoint.name;
    info.upstreamPrincipal = lease.peerSpiffeId;
    if (info.direction === "outbound") info.peer = lease.endpoint.spec.labels;
  }
}
