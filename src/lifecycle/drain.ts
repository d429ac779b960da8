import type { Timer, TimerWheel } from "../core/timer-wheel.ts";

interface DrainOptions {
  /** Longest time to wait for what is under way. */
  readonly deadlineMs: number;
  /**
   * Shortest time to go on accepting: it takes the cluster a moment to hear that we are not ready, and who connects
   * meanwhile must be served.
   */
  readonly minimumMs?: number;
}

type State =
  | { readonly name: "live" }
  /** `end` null: drains, and has not been asked to end. */
  | { readonly name: "draining"; readonly end: { readonly deadline: Timer; readonly minimum: Timer | null } | null }
  | { readonly name: "terminated" };

/** Told of the changes of state, each at most once. */
export interface DrainListener {
  /** Inbound responses carry `connection: close` from now on, readiness fails; outbound stays as it is. */
  draining(): void;
  /** Nothing is under way, or the time is up, or a second request to end came. `isClean` false: streams were cut. */
  terminated(isClean: boolean): void;
}

/**
 * The way out of a process or thread (spec/07 7.13): live, draining, terminated. Pure: the owner tells it what
 * happens and it says what follows. Streams are counted over both directions, because the application's own last
 * calls go out while it drains.
 */
export class Drain {
  readonly #timers: TimerWheel;
  readonly #listener: DrainListener;
  readonly #deadlineMs: number;
  readonly #minimumMs: number;
  #state: State = { name: "live" };
  #inFlight = 0;

  constructor(timers: TimerWheel, listener: DrainListener, options: DrainOptions) {
    this.#timers = timers;
    this.#listener = listener;
    this.#deadlineMs = options.deadlineMs;
    this.#minimumMs = Math.min(options.minimumMs ?? 0, options.deadlineMs);
  }

  get state(): "live" | "draining" | "terminated" {
    return this.#state.name;
  }

  /** Streams and opaque connections under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The first request to end starts draining unless it has begun, the second ends at once. */
  request(): void {
    if (this.#state.name === "terminated") return;
    if (this.#state.name === "draining" && this.#state.end !== null) {
      this.#terminate();
      return;
    }
    const isNew = this.#state.name === "live";
    this.#state = { name: "draining", end: this.#startTimers() };
    if (isNew) this.#listener.draining();
    this.#check();
  }

  /** Drains without an end: new work is turned away politely, until a request to end comes. */
  drainOnly(): void {
    if (this.#state.name !== "live") return;
    this.#state = { name: "draining", end: null };
    this.#listener.draining();
  }

  /** A stream or an opaque connection began. */
  streamStarted(): void {
    this.#inFlight++;
  }

  /** It is done. */
  streamEnded(): void {
    this.#inFlight--;
    this.#check();
  }

  /** For a thread that is told the sum instead: sets how many are under way. */
  setInFlight(count: number): void {
    this.#inFlight = count;
    this.#check();
  }

  #startTimers(): { readonly deadline: Timer; readonly minimum: Timer | null } {
    const deadline = this.#timers.schedule(this.#deadlineMs, () => this.#terminate());
    const minimum = this.#minimumMs === 0 ? null : this.#timers.schedule(this.#minimumMs, () => this.#minimumPassed());
    return { deadline, minimum };
  }

  #minimumPassed(): void {
    if (this.#state.name !== "draining" || this.#state.end === null) return;
    this.#state = { name: "draining", end: { deadline: this.#state.end.deadline, minimum: null } };
    this.#check();
  }

  #check(): void {
    if (this.#state.name === "draining" && this.#state.end?.minimum === null && this.#inFlight <= 0) this.#terminate();
  }

  #terminate(): void {
    if (this.#state.name === "draining") {
      this.#state.end?.deadline.cancel();
      this.#state.end?.minimum?.cancel();
    }
    this.#state = { name: "terminated" };
    this.#listener.terminated(this.#inFlight <= 0);
  }
}
