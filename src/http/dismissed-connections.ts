import type { Clock } from "../core/clock.ts";
import { GradualVisit } from "../core/gradual-visit.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { ProxyError } from "../message/proxy-error.ts";

/** What is under way on a connection that may not go on has this long: with all else, closed within a second (B24). */
const FINISH_MS = 800;

interface Dismissible {
  /** Takes no further request, and closes when none is under way any more. */
  finish(error: ProxyError): void;
  /** Closes at once. */
  destroy(error: ProxyError): void;
}

/** Connections that get no further request. What is under way is finished, or cut if it does not end soon. */
export class DismissedConnections<Connection extends Dismissible> {
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #isOpen: (connection: Connection) => boolean;
  /** Those that may still be open, and when each is cut, `monotonicMs`. */
  readonly #finishing = new Map<Connection, { readonly error: ProxyError; readonly cutAtMs: number }>();
  readonly #cuts: GradualVisit<Connection>;
  #isWaiting = false;

  constructor(parts: { readonly clock: Clock; readonly timers: TimerWheel }, isOpen: (connection: Connection) => boolean) {
    this.#clock = parts.clock;
    this.#timers = parts.timers;
    this.#isOpen = isOpen;
    this.#cuts = new GradualVisit(parts.clock);
  }

  has(connection: Connection): boolean {
    return this.#finishing.has(connection);
  }

  add(connection: Connection, error: ProxyError): void {
    this.#finishing.set(connection, { error, cutAtMs: this.#clock.monotonicMs() + FINISH_MS });
    this.#wakeIn(FINISH_MS);
    connection.finish(error);
  }

  /** One that wakes early for the last of them wakes again. */
  #wakeIn(delayMs: number): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#timers.schedule(delayMs, () => {
      this.#isWaiting = false;
      // What an earlier visit has left is still there.
      this.#cuts.begin(this.#finishing.keys(), (connection) => this.#cutIfDue(connection));
    });
  }

  #cutIfDue(connection: Connection): void {
    const entry = this.#finishing.get(connection);
    if (entry === undefined) return;
    const leftMs = entry.cutAtMs - this.#clock.monotonicMs();
    const isOpen = this.#isOpen(connection);
    if (isOpen && leftMs > 0) {
      this.#wakeIn(leftMs);
      return;
    }
    this.#finishing.delete(connection);
    if (isOpen) connection.destroy(entry.error);
  }
}
