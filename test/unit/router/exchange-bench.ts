import type { AcquireRequest, Acquisition, Cluster } from "../../../src/cluster/cluster.ts";
import { NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import type { Endpoint } from "../../../src/cluster/endpoint.ts";
import type { LeaseReceiver, RequestLease } from "../../../src/cluster/request-lease.ts";
import type { ForwardSpec, RetrySpec, UpstreamProtocol } from "../../../src/config/snapshot.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { ProxyError, type ProxyErrorCode } from "../../../src/message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamStream } from "../../../src/message/stream.ts";
import { type Direction, StreamInfo } from "../../../src/message/stream-info.ts";
import { Exchange } from "../../../src/router/exchange.ts";
import type { GaveUpRequests } from "../../../src/router/gave-up-requests.ts";
import type { RoutedStream } from "../../../src/router/routed-stream.ts";
import { ManualTime, clusterSpec, endpointSpec } from "../cluster/fakes.ts";

const FACTS: ConnectionFacts = {
  remote: { address: "127.0.0.1", port: 1 }, local: { address: "10.0.0.9", port: 9080 }, isCaptured: true, tls: null,
};

/** One attempt as the cluster sees it: a connection asked for, handed out or refused, and what came of it. */
export class FakeAttempt implements UpstreamConnection, UpstreamStream, Acquisition {
  readonly asked: AcquireRequest;
  readonly endpoint: Endpoint;
  readonly #receiver: LeaseReceiver;
  isReused = false;
  isCancelled = false;
  isReleased = false;
  releases = 0;
  statuses: number[] = [];
  resets: string[] = [];
  sentHead: RequestHead | null = null;
  sentBody = "";
  sentPieces = 0;
  hasEnded = false;
  isReset = false;
  isPaused = false;
  /** What `write` answers. */
  takesMore = true;
  receiver: ResponseReceiver | null = null;

  constructor(asked: AcquireRequest, receiver: LeaseReceiver, index: number) {
    this.asked = asked;
    this.#receiver = receiver;
    const spec = endpointSpec(`10.0.0.${index + 1}`);
    this.endpoint = { name: `${spec.address}:${spec.port}`, spec } as Endpoint;
  }

  // === What the test does ===

  /** A connection is there. */
  connect(): void {
    this.#receiver.ready(this, this as unknown as RequestLease);
  }

  refuse(code: ProxyErrorCode = "connect_failure", reason = "10.0.0.1:9080: connection refused"): void {
    this.#receiver.failed(new ProxyError(code, reason), code === "no_healthy_upstream" ? null : this.endpoint);
  }

  respond(status: number, body: string | null = null, headers: HeaderList = new HeaderList()): void {
    this.#told.head(new ResponseHead(status, "", headers, body === null ? 0 : -1), body === null);
    if (body === null) return;
    this.#told.data(Buffer.from(body));
    this.#told.end(null);
  }

  /** The response head and no more. */
  begin(status: number): void {
    this.#told.head(new ResponseHead(status, "", new HeaderList(), -1), false);
  }

  data(text: string): void {
    this.#told.data(Buffer.from(text));
  }

  finish(trailers: HeaderList | null = null): void {
    this.#told.end(trailers);
  }

  inform(status: number): void {
    this.#told.informational(new ResponseHead(status, "", new HeaderList(), 0));
  }

  drained(): void {
    this.#told.drain();
  }

  break(code: ProxyErrorCode = "upstream_disconnect", onReusedConnection = false): void {
    this.#told.reset(new ProxyError(code, "10.0.0.1:9080: connection reset by peer", { onReusedConnection }));
  }

  get #told(): ResponseReceiver {
    if (this.receiver === null || this.isReset) throw new Error("an attempt that was given up is silent");
    return this.receiver;
  }

  // === Acquisition and lease ===

  cancel(): void {
    this.isCancelled = true;
  }

  readonly peerSpiffeId = "spiffe://cluster.local/ns/default/sa/reviews";
  readonly facts = { local: { address: "10.0.0.9", port: 40_000 } };

  reportStatus(status: number): void {
    this.statuses.push(status);
  }

  reportReset(error: ProxyError): void {
    this.resets.push(error.code);
  }

  release(): void {
    this.isReleased = true;
    this.releases++;
  }

  retire(): void {}
  destroy(): void {}

  // === Connection and stream ===

  request(head: RequestHead, end: boolean, receiver: ResponseReceiver): UpstreamStream {
    this.sentHead = head;
    this.hasEnded = end;
    this.receiver = receiver;
    return this;
  }

  write(chunk: Buffer): boolean {
    this.sentBody += chunk.toString();
    this.sentPieces++;
    return this.takesMore;
  }

  end(): void {
    this.hasEnded = true;
  }

  reset(): void {
    this.isReset = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

/** The downstream side, recording. */
export class FakeStream implements RoutedStream {
  readonly head: RequestHead;
  readonly info: StreamInfo;
  readonly connection = FACTS;
  readonly events: string[] = [];
  /** What `respondData` answers. */
  takesMore = true;
  isRequestPaused = false;
  error: ProxyError | null = null;
  hasGivenUp = false;
  /** Thrown by `respond`, when set. */
  defect: Error | null = null;

  constructor(head: RequestHead, startedAtMs = 0, direction: Direction = "outbound") {
    this.head = head;
    this.info = new StreamInfo(direction, FACTS, startedAtMs);
  }

  respondInformational(head: ResponseHead): void {
    this.events.push(`informational ${head.status}`);
  }

  respond(head: ResponseHead, end: boolean): void {
    if (this.defect !== null) throw this.defect;
    this.events.push(`respond ${head.status}${end ? " end" : ""}`);
  }

  respondData(chunk: Buffer): boolean {
    this.events.push(`data ${chunk.toString()}`);
    return this.takesMore;
  }

  respondEnd(): void {
    this.events.push("end");
  }

  fail(error: ProxyError, isRetried: boolean, hasGivenUp = false): void {
    this.error = error;
    this.hasGivenUp = hasGivenUp;
    this.events.push(`fail ${error.code}${isRetried ? " retried" : ""}`);
  }

  pauseRequest(): void {
    this.isRequestPaused = true;
  }

  resumeRequest(): void {
    this.isRequestPaused = false;
  }
}

export const RETRY: RetrySpec = {
  attempts: 2, perTryTimeoutMs: 0, retryOn: ["5xx", "reset", "connect-failure"], retriableStatuses: [], backoffBaseMs: 100, backoffMaxMs: 1000, isExplicit: true,
};

/** One exchange with everything around it faked. */
export class ExchangeBench {
  readonly time = new ManualTime();
  readonly attempts: FakeAttempt[] = [];
  readonly stream: FakeStream;
  readonly exchange: Exchange;
  retriesUnderWay = 0;
  mayRetry = true;
  /** What the cluster does within the call of `acquire`. */
  onAcquire: (attempt: FakeAttempt) => void = () => undefined;

  constructor(options: { head?: RequestHead; hasBody?: boolean; retry?: Partial<RetrySpec> | null; timeoutMs?: number; protocol?: UpstreamProtocol; isGrpc?: boolean; readsGrpcTrailers?: boolean; direction?: Direction; gaveUp?: GaveUpRequests } = {}) {
    const { hasBody = false, timeoutMs = 0 } = options;
    const head = options.head ?? new RequestHead("GET", "reviews", "/", new HeaderList(), hasBody ? -1 : 0);
    const retry = options.retry === undefined || options.retry === null ? null : { ...RETRY, ...options.retry };
    const action: ForwardSpec = { kind: "forward", clusters: [{ name: "reviews", weight: 1 }], timeoutMs, retry, readsGrpcTrailers: options.readsGrpcTrailers ?? false };
    this.stream = new FakeStream(head, this.time.nowMs, options.direction);
    this.stream.info.isGrpc = options.isGrpc ?? false;
    const cluster = {
      spec: clusterSpec(["10.0.0.1"], { protocol: options.protocol ?? "http1" }),
      acquire: (request: AcquireRequest, receiver: LeaseReceiver) => this.#acquire(request, receiver),
      tryBeginRetry: () => {
        if (this.mayRetry) this.retriesUnderWay++;
        return this.mayRetry;
      },
      endRetry: () => this.retriesUnderWay--,
      requestBegan: () => undefined,
      metrics: NO_CLUSTER_METRICS,
      hasher: null,
    } as unknown as Cluster;
    // Back-off is drawn from nothing to its bound: always the bound here.
    this.exchange = new Exchange(this.stream, cluster, action, !hasBody, { clock: this.time, timers: this.time.timers, random: () => 0.999_999, ...(options.gaveUp === undefined ? {} : { gaveUp: options.gaveUp }) });
  }

  #acquire(request: AcquireRequest, receiver: LeaseReceiver): Acquisition {
    const attempt = new FakeAttempt({ ...request, excludedEndpoints: new Set(request.excludedEndpoints) }, receiver, this.attempts.length);
    this.attempts.push(attempt);
    this.onAcquire(attempt);
    return attempt;
  }

  /** The attempt made last. */
  get last(): FakeAttempt {
    const attempt = this.attempts.at(-1);
    if (attempt === undefined) throw new Error("no attempt was made");
    return attempt;
  }

  get events(): readonly string[] {
    return this.stream.events;
  }

  send(text: string): void {
    this.exchange.requestData(Buffer.from(text));
  }

  /** What an exchange that is over must not leave behind. */
  leftovers(): unknown {
    return {
      timers: this.time.timers.count,
      retries: this.retriesUnderWay,
      leases: this.attempts.filter((attempt) => attempt.sentHead !== null && !attempt.isReleased).length,
    };
  }
}

export const NOTHING_LEFT = { timers: 0, retries: 0, leases: 0 };
