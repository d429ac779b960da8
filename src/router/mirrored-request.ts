import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { MirrorOutcome } from "../cluster/cluster-metrics.ts";
import type { RequestLease } from "../cluster/request-lease.ts";
import { ByteQueue } from "../core/byte-queue.ts";
import type { Timer } from "../core/timer-wheel.ts";
import { effectiveStatus } from "../message/grpc-status.ts";
import { RequestHead, type ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamConnection, UpstreamStream } from "../message/stream.ts";
import { acquireRequest } from "./acquire-request.ts";
import { tellAttempt } from "./attempt-headers.ts";
import { GuardedReceiver } from "./guarded-receiver.ts";
import type { MirrorLimits } from "./mirror-limits.ts";
import type { RoutedStream } from "./routed-stream.ts";
import type { RouterParts } from "./router-parts.ts";

/** How long a copy may wait for its answer where the route sets no limit: nobody misses it. */
const MAX_ANSWER_MS = 60_000;

/**
 * The copy of one request (`spec/03` 3.9): sent once, its answer read and thrown away. It follows the body as that comes,
 * holds back what its upstream does not take yet, and gives up rather than make anybody wait. Cut short with its
 * request, but once that has come whole it goes on by itself.
 */
export class MirroredRequest extends GuardedReceiver {
  readonly #head: RequestHead;
  readonly #cluster: Cluster;
  readonly #stream: Pick<RoutedStream, "connection">;
  readonly #limits: MirrorLimits;
  readonly #timeoutMs: number;
  #acquisition: Acquisition | null = null;
  #lease: RequestLease | null = null;
  #upstream: UpstreamStream | null = null;
  /** What its upstream does not take yet; null: nothing was ever held back. */
  #held: ByteQueue | null = null;
  #requestEnded: boolean;
  #trailers: HeaderList | null = null;
  /** The upstream has more than it takes. */
  #isBlocked = false;
  #isOver = false;
  #timer: Timer | null = null;

  /** `timeoutMs`: as of the route, 0 for none. */
  constructor(stream: Pick<RoutedStream, "head" | "connection">, cluster: Cluster, timeoutMs: number, requestEnded: boolean, limits: MirrorLimits, parts: RouterParts) {
    super(parts);
    this.#head = copyOf(stream.head);
    this.#cluster = cluster;
    this.#stream = stream;
    this.#limits = limits;
    this.#timeoutMs = timeoutMs;
    this.#requestEnded = requestEnded;
  }

  /** Nothing of it throws: the request it is a copy of is not to notice. */
  start(): void {
    if (!this.#limits.tryBegin()) {
      this.#isOver = true;
      this.#cluster.metrics.mirrored("overflow");
      return;
    }
    try {
      tellAttempt(this.#head.headers, 1, this.#timeoutMs > 0 ? this.#timeoutMs : Number.POSITIVE_INFINITY);
      if (this.#requestEnded) this.#startTimer();
      const hash = this.#cluster.hasher?.of(this.#head, this.#stream.connection)?.hash ?? null;
      const acquisition = this.#cluster.acquire(acquireRequest({ connection: this.#stream.connection, head: this.#head }, this.#cluster, null, false, hash), this);
      // The answer may have come within the call.
      if (this.#lease === null && !this.#isOver) this.#acquisition = acquisition;
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  // === The request, as it comes ===

  requestData(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#upstream === null || this.#isBlocked) this.#hold(chunk);
    else this.#guarded(chunk);
  }

  requestEnd(trailers: HeaderList | null): void {
    if (this.#isOver) return;
    this.#requestEnded = true;
    this.#trailers = trailers;
    this.#startTimer();
    this.#guarded(null);
  }

  /** The request is over. Cut before its end, its copy is, too. */
  requestOver(): void {
    if (!this.#isOver && !this.#requestEnded) this.#finish("abandoned");
  }

  // === The answer ===

  protected override onReady(connection: UpstreamConnection, lease: RequestLease): void {
    this.#acquisition = null;
    this.#lease = lease;
    const hasNoBody = this.#head.contentLength === 0 && this.#requestEnded;
    this.#upstream = connection.request(this.#head, hasNoBody, this);
    if (!hasNoBody) this.#send();
  }

  protected override onFailed(): void {
    this.#acquisition = null;
    this.#finish("failed");
  }

  protected override onInformational(): void {
    // Nobody waits for it.
  }

  protected override onHead(head: ResponseHead, end: boolean): void {
    this.#lease?.reportStatus(effectiveStatus(head.status, end ? head.headers : null));
    if (end) this.onEnd();
  }

  protected override onData(): void {
    // Nobody reads it.
  }

  protected override onEnd(): void {
    // The rest of the request goes nowhere.
    if (this.#requestEnded) this.#upstream = null;
    this.#finish("answered");
  }

  protected override onDrain(): void {
    this.#isBlocked = false;
    this.#send();
  }

  protected override onReset(error: ProxyError): void {
    this.#upstream = null;
    this.#lease?.reportReset(error);
    this.#finish("failed");
  }

  protected override breakOff(cause: unknown): void {
    this.parts.defect?.("mirror", cause);
    this.#finish("failed");
  }

  #hold(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (!this.#limits.tryHold(chunk.length, this.#heldBytes)) {
      this.#finish("too_large");
      return;
    }
    (this.#held ??= new ByteQueue()).push(chunk);
  }

  /** Sends `chunk`, before which nothing is held, or the end of the request. */
  #guarded(chunk: Buffer | null): void {
    try {
      if (chunk === null) this.#send();
      else this.#write(chunk);
    } catch (cause) {
      this.breakOff(cause);
    }
  }

  #write(chunk: Buffer): void {
    this.#isBlocked = this.#upstream?.write(chunk) === false;
  }

  get #heldBytes(): number {
    return this.#held === null ? 0 : this.#held.bytes;
  }

  /** Sends what is held, as far as the upstream takes it, and then the end. */
  #send(): void {
    const held = this.#held;
    while (held !== null && held.bytes > 0 && this.#upstream !== null && !this.#isBlocked) {
      const chunk = held.take(Infinity);
      this.#limits.release(chunk.length);
      this.#write(chunk);
    }
    if (this.#requestEnded && this.#heldBytes === 0 && !this.#isBlocked) this.#upstream?.end(this.#trailers);
  }

  #letGo(): void {
    this.#limits.release(this.#heldBytes);
    this.#held?.clear();
  }

  #startTimer(): void {
    this.#timer ??= this.after(this.#timeoutMs > 0 ? this.#timeoutMs : MAX_ANSWER_MS, () => this.#finish("failed"));
  }

  #finish(outcome: MirrorOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#acquisition?.cancel();
    this.#upstream?.reset();
    this.#upstream = null;
    this.#lease?.release();
    this.#lease = null;
    this.#letGo();
    this.#limits.end();
    this.#cluster.metrics.mirrored(outcome);
  }
}

/** Headers are changed on the way of each. */
function copyOf(head: RequestHead): RequestHead {
  const copy = new RequestHead(head.method, head.authority, head.path, head.headers.clone(), head.contentLength);
  copy.scheme = head.scheme;
  copy.version = head.version;
  copy.hostName = head.hostName;
  return copy;
}
