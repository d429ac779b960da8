import type { Clock } from "../core/clock.ts";
import type { Timer } from "../core/timer-wheel.ts";
import { setGrpcTimeout, takeGrpcTimeout } from "../message/grpc-timeout.ts";
import type { RoutedStream } from "./routed-stream.ts";

export interface ExchangeTimeoutOwner {
  /** Runs `step` after a while, unless it is cancelled; what it throws is dealt with. */
  after(delayMs: number, step: () => void): Timer;
  timedOut(): void;
}

/**
 * How long one exchange may take with all its attempts: as long as the route allows, counted from the end of the
 * request, and no longer than the deadline that a gRPC call brings, which is a point in time and so counts from its
 * head (`spec/03` 3.4). Whichever comes first; without either there is no limit, however long a stream lives.
 */
export class ExchangeTimeout {
  readonly #stream: RoutedStream;
  readonly #clock: Clock;
  readonly #owner: ExchangeTimeoutOwner;
  readonly #routeTimeoutMs: number;
  /** From the head of the request; null when the caller gave none. */
  readonly #deadlineMs: number | null;
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #timer: Timer | null = null;

  private constructor(stream: RoutedStream, routeTimeoutMs: number, deadlineMs: number | null, clock: Clock, owner: ExchangeTimeoutOwner) {
    this.#stream = stream;
    this.#routeTimeoutMs = routeTimeoutMs;
    this.#deadlineMs = deadlineMs;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** Null when nothing limits the exchange. `routeTimeoutMs` 0: the route does not. */
  static of(stream: RoutedStream, routeTimeoutMs: number, clock: Clock, owner: ExchangeTimeoutOwner): ExchangeTimeout | null {
    const deadlineMs = stream.info.isGrpc ? takeGrpcTimeout(stream.head.headers) : null;
    return deadlineMs === null && routeTimeoutMs === 0 ? null : new ExchangeTimeout(stream, routeTimeoutMs, deadlineMs, clock, owner);
  }

  /** A deadline counts from now on. */
  start(): void {
    if (this.#deadlineMs !== null) this.#expireAt(this.#stream.info.startedAtMs + this.#deadlineMs);
  }

  /** The request has been received whole. */
  requestComplete(): void {
    if (this.#routeTimeoutMs > 0) this.#expireAt(this.#clock.monotonicMs() + this.#routeTimeoutMs);
  }

  /** What is left of it; while the request is still coming, no more than the route allows after that. */
  get leftMs(): number {
    const leftMs = this.#expiresAtMs === Number.POSITIVE_INFINITY ? this.#expiresAtMs : this.#expiresAtMs - this.#clock.monotonicMs();
    return this.#routeTimeoutMs > 0 ? Math.min(leftMs, this.#routeTimeoutMs) : leftMs;
  }

  /** Tells the upstream what is left of the caller's deadline, before each attempt (`spec/07` 7.5). */
  tellDeadline(): void {
    if (this.#deadlineMs !== null) setGrpcTimeout(this.#stream.head.headers, this.leftMs);
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #expireAt(expiresAtMs: number): void {
    if (expiresAtMs >= this.#expiresAtMs) return;
    this.#expiresAtMs = expiresAtMs;
    this.cancel();
    this.#timer = this.#owner.after(Math.max(0, expiresAtMs - this.#clock.monotonicMs()), () => this.#owner.timedOut());
  }
}
