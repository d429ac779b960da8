import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { Endpoint } from "../cluster/endpoint.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import type { Timer } from "../core/timer-wheel.ts";
import { effectiveStatus, isGrpcContent } from "../message/grpc-status.ts";
import { RequestHead, type ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamConnection, UpstreamStream } from "../message/stream.ts";
import { GuardedReceiver } from "../router/guarded-receiver.ts";
import type { RouterParts } from "../router/router-parts.ts";

/** Endpoints that are tried until one can be connected to. */
const MAX_ENDPOINTS = 3;

/** What is sent to an external authorizer. */
export interface CallRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  /** Null: none. */
  readonly body: Buffer | null;
  /** What it is sent with, whatever the cluster declares; null: what that declares, HTTP/1.1 where it has no wish. */
  readonly protocol: "http2" | null;
  /** Host name of the authorizer's service, which TLS out of the mesh is verified against. */
  readonly host: string;
}

/** What came back, whole. */
export interface CallAnswer {
  readonly status: number;
  readonly headers: HeaderList;
  /** Null: none. */
  readonly trailers: HeaderList | null;
  readonly body: Buffer;
}

/**
 * No whole answer came: `error` says why. `answer` is the head of one whose body was larger than the limit; null where
 * that is not the reason.
 */
export interface CallFailure {
  readonly error: ProxyError;
  readonly answer: Pick<CallAnswer, "status" | "headers"> | null;
}

/** Told once what became of a call, possibly within `start`; never after `cancel`. */
export interface CallReceiver {
  answered(answer: CallAnswer): void;
  failed(failure: CallFailure): void;
}

export interface CallLimits {
  /** From `start` to the end of the answer. */
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly maxBodyBytes: number;
  /** Of an answer with this status the body is not wanted, however long it is; absent: of none. */
  readonly bodilessStatus?: number;
}

/**
 * One question to an external authorizer (`spec/05` 5.5): a request of the data path's own, sent to one endpoint of a
 * cluster, with the pools, limits, balancing and mesh TLS that the cluster has. Where one cannot be connected to, another is
 * tried; it is sent again, once, where its peer cannot have seen it or had closed the idle connection it went out on. A call whose asker is gone is cut; what still
 * comes of it does nothing (CVE-2026-47205).
 */
export class ExternalCall extends GuardedReceiver {
  readonly #cluster: Cluster;
  readonly #request: CallRequest;
  readonly #limits: CallLimits;
  readonly #receiver: CallReceiver;
  #acquisition: Acquisition | null = null;
  #lease: RequestLease | null = null;
  #upstream: UpstreamStream | null = null;
  #answer: ResponseHead | null = null;
  readonly #body: Buffer[] = [];
  #bodyBytes = 0;
  #timer: Timer | null = null;
  #attempts = 0;
  #isRepeated = false;
  /** Endpoints that could not be connected to; null: none. */
  #tried: Set<Endpoint> | null = null;
  #isOver = false;

  constructor(cluster: Cluster, request: CallRequest, limits: CallLimits, receiver: CallReceiver, parts: RouterParts) {
    super(parts);
    this.#cluster = cluster;
    this.#request = request;
    this.#limits = limits;
    this.#receiver = receiver;
  }

  /** Once. Never throws. */
  start(): void {
    try {
      this.#timer = this.after(this.#limits.timeoutMs, () => this.#timedOut());
      this.#acquire();
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  /** Nobody waits for the answer any more. */
  cancel(): void {
    this.#end();
  }

  // === For cluster and connection ===

  protected override onReady(connection: UpstreamConnection, lease: RequestLease): void {
    this.#acquisition = null;
    if (this.#isOver) {
      lease.release();
      return;
    }
    this.#lease = lease;
    const { body } = this.#request;
    const upstream = connection.request(headOf(this.#request), body === null, this);
    // It may have failed within the call.
    if (this.#isOver) return;
    this.#upstream = upstream;
    if (body === null) return;
    // The one piece there is: nobody has to be told to wait.
    upstream.write(body);
    upstream.end(null);
  }

  protected override onFailed(error: ProxyError, endpoint: Endpoint | null): void {
    this.#acquisition = null;
    if (endpoint === null || error.attributes.source !== "upstream" || !this.#triesAnother(endpoint)) this.#fail(error);
    else this.#acquire();
  }

  protected override onInformational(): void {
    // The final answer is what counts.
  }

  protected override onHead(head: ResponseHead, end: boolean): void {
    this.#answer = head;
    // What a call of gRPC came to is said at its end.
    if (end || !isGrpcContent(head.headers.get("content-type"))) this.#lease?.reportStatus(effectiveStatus(head.status, end ? head.headers : null));
    if (end) this.onEnd(null);
  }

  protected override onData(chunk: Buffer): void {
    if (this.#isOver || this.#answer?.status === this.#limits.bodilessStatus) return;
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > this.#limits.maxBodyBytes) this.#fail(new ProxyError("upstream_protocol", "the answer is too large"), this.#answer);
    else this.#body.push(chunk);
  }

  protected override onEnd(trailers: HeaderList | null): void {
    const answer = this.#answer;
    if (answer === null || this.#isOver) return;
    if (trailers !== null && isGrpcContent(answer.headers.get("content-type"))) this.#lease?.reportStatus(effectiveStatus(answer.status, trailers));
    this.#upstream = null;
    this.#end();
    this.#receiver.answered({ status: answer.status, headers: answer.headers, trailers, body: Buffer.concat(this.#body) });
  }

  protected override onDrain(): void {
    // Nothing waits to be written.
  }

  protected override onReset(error: ProxyError): void {
    this.#upstream = null;
    this.#lease?.reportReset(error);
    if (!this.#mayRepeat(error)) {
      this.#fail(error);
      return;
    }
    this.#isRepeated = true;
    this.#lease?.release();
    this.#lease = null;
    this.#acquire();
  }

  protected override breakOff(cause: unknown): void {
    this.parts.defect?.("external authorization", cause);
    this.#fail(new ProxyError("internal", String(cause), { cause }));
  }

  #acquire(): void {
    const attempt = ++this.#attempts;
    const { spec, wantsHost } = this.#cluster;
    const declared = spec.protocol === "http2" ? "http2" : "http1";
    const acquisition = this.#cluster.acquire({
      originalDestination: null,
      protocol: this.#request.protocol ?? declared,
      excludedEndpoints: this.#tried,
      needsFreshConnection: this.#isRepeated,
      host: wantsHost ? this.#request.host : null,
    }, this);
    // The answer, and the next attempt, may have come within the call; only a wait is kept, to be cancelled.
    if (this.#lease === null && !this.#isOver && this.#attempts === attempt) this.#acquisition = acquisition;
  }

  #triesAnother(failed: Endpoint): boolean {
    if (this.#isOver) return false;
    this.#tried ??= new Set();
    this.#tried.add(failed);
    return this.#tried.size < Math.min(MAX_ENDPOINTS, this.#cluster.endpoints.length);
  }

  /** A question changes nothing: one that was lost with a connection that had been idle may be asked again. */
  #mayRepeat(error: ProxyError): boolean {
    if (this.#isRepeated || this.#isOver || this.#answer !== null) return false;
    return error.isUnsent || error.code === "refused_stream" || (error.code === "upstream_disconnect" && error.onReusedConnection);
  }

  #timedOut(): void {
    const error = new ProxyError("response_timeout", "the external authorizer did not answer in time");
    this.#lease?.reportReset(error);
    this.#fail(error);
  }

  #fail(error: ProxyError, answer: ResponseHead | null = null): void {
    if (this.#isOver) return;
    this.#end();
    this.#receiver.failed({ error, answer });
  }

  /** Gives back what it holds; whatever has not come is cut. */
  #end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#acquisition?.cancel();
    this.#acquisition = null;
    this.#upstream?.reset();
    this.#upstream = null;
    this.#lease?.release();
    this.#lease = null;
  }
}

function headOf({ method, authority, path, headers, body, protocol }: CallRequest): RequestHead {
  const head = new RequestHead(method, authority, path, headers, body?.length ?? 0);
  if (protocol === "http2") head.version = "HTTP/2";
  return head;
}
