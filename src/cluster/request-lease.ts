import type { RequestHead } from "../message/head.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamStream } from "../message/stream.ts";
import type { UpstreamFacts } from "../upstream/connector.ts";
import type { Endpoint } from "./endpoint.ts";
import type { SharedConnection } from "./shared-connection.ts";

/** Waits for a connection; told once, possibly within the call of `acquire`. */
export interface LeaseReceiver {
  /** A connection is the receiver's for one request. `connection` is the lease itself. */
  ready(connection: UpstreamConnection, lease: RequestLease): void;
  /** None could be had; nothing was sent. `endpoint` is the one that failed, null when none was picked. */
  failed(error: ProxyError, endpoint: Endpoint | null): void;
}

/** The pool a lease is of. */
export interface LeasePool {
  /** The lease was given up while it waited. */
  cancelled(lease: RequestLease): void;
  /** The lease was given up before it sent anything; the connection is as it was. */
  unused(lease: RequestLease): void;
  /** The request of the lease is over; its connection may still be busy with the rest of it. */
  ended(lease: RequestLease): void;
  reportStatus(lease: RequestLease, status: number): void;
  nowMs(): number;
  reportReset(lease: RequestLease, error: ProxyError): void;
}

/**
 * - `waiting`: in the queue of its pool.
 * - `ready`: has a connection, nothing was sent.
 * - `sent`: the request is on the connection.
 * - `over`.
 */
type State = "waiting" | "ready" | "sent" | "over";

/**
 * One request's hold on an endpoint and, once there is one, on a connection to it. It is the connection as the router
 * sees it, so that the pool knows whether a request was sent: a connection is put back only when its own codec says
 * that it is idle, or when nothing was ever written.
 *
 * The counts it stands for end with `release`, or when its connection, if nobody shares it, reports that it is idle or
 * closed, whichever is first. Every call is harmless after that.
 */
export class RequestLease implements UpstreamConnection {
  readonly endpoint: Endpoint;
  readonly receiver: LeaseReceiver;
  /** Only a connection that carried no request yet will do. */
  readonly needsFresh: boolean;
  readonly #pool: LeasePool;
  #state: State = "waiting";
  #client: UpstreamConnection | null = null;
  #shared: SharedConnection | null = null;
  #facts: UpstreamFacts | null = null;
  /** How long the connection had been idle when it was handed out; 0 for a new one. */
  #idleMs = 0;
  #hasResponse = false;
  /** `Clock.monotonicMs`; kept only where somebody asks how long the answer took. */
  #sentAtMs = 0;

  constructor(pool: LeasePool, endpoint: Endpoint, receiver: LeaseReceiver, needsFresh: boolean) {
    this.#pool = pool;
    this.endpoint = endpoint;
    this.receiver = receiver;
    this.needsFresh = needsFresh;
  }

  /** SPIFFE ID that the endpoint proved; null on plaintext and while waiting. */
  get peerSpiffeId(): string | null {
    return this.#facts?.peerSpiffeId ?? null;
  }

  /** The connection when others may have requests on it too; null for one of its own, and while waiting. */
  get shared(): SharedConnection | null {
    return this.#shared;
  }

  /** Addresses and ALPN of the connection; null while waiting. */
  get facts(): UpstreamFacts | null {
    return this.#facts;
  }

  get idleMs(): number {
    return this.#idleMs;
  }

  get sentAtMs(): number {
    return this.#sentAtMs;
  }

  get hasResponse(): boolean {
    return this.#hasResponse;
  }

  get isReused(): boolean {
    return this.#client?.isReused ?? false;
  }

  /** Sends the request; once, after `ready`. */
  request(head: RequestHead, end: boolean, receiver: ResponseReceiver): UpstreamStream {
    const client = this.#client;
    if (client === null || this.#state !== "ready") throw new Error("a lease carries one request, after it is ready");
    this.#state = "sent";
    if (this.endpoint.latency !== null) this.#sentAtMs = this.#pool.nowMs();
    return client.request(head, end, receiver);
  }

  retire(): void {
    this.#client?.retire();
  }

  /** Closes its connection at once, unless others have requests on it. */
  destroy(): void {
    if (this.#shared === null) this.#client?.destroy();
    else this.#client?.retire();
  }

  /** The upstream answered with `status` (a gRPC status mapped to HTTP). Feeds outlier detection and the counts. */
  reportStatus(status: number): void {
    this.#hasResponse = true;
    this.#pool.reportStatus(this, status);
  }

  /**
   * The request failed on its connection. A time-out counts as 504 towards ejection, any other failure of the upstream
   * as 503, what was our own doing or the downstream's not at all (`spec/04` 4.5). Failures to connect were counted
   * when they happened.
   */
  reportReset(error: ProxyError): void {
    this.#pool.reportReset(this, error);
  }

  /** The request is over, or is given up while it waits or before it was sent. */
  release(): void {
    const state = this.#state;
    if (state === "over") return;
    this.#state = "over";
    if (state === "waiting") this.#pool.cancelled(this);
    else if (state === "ready") this.#pool.unused(this);
    else this.#pool.ended(this);
  }

  /** The same as `release`; for a receiver that waits. */
  cancel(): void {
    this.release();
  }

  // === For the pool ===

  /** Hands the connection over. */
  attach(client: UpstreamConnection, facts: UpstreamFacts, idleMs: number, shared: SharedConnection | null): void {
    this.#state = "ready";
    this.#client = client;
    this.#shared = shared;
    this.#facts = facts;
    this.#idleMs = idleMs;
    this.receiver.ready(this, this);
  }

  /** No connection for it. One that was given up hears nothing. */
  fail(error: ProxyError): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.receiver.failed(error, this.endpoint);
  }

  /** True when the counts of a request on a connection still have to be ended; says so once. */
  end(): boolean {
    const isOpen = this.#state === "ready" || this.#state === "sent";
    this.#state = "over";
    return isOpen;
  }
}
