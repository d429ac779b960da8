import type { FaultSpec } from "../config/snapshot-route.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { LocalReply } from "../message/local-reply.ts";
import type { Chance } from "./chance.ts";
import type { Filter, FilterRequest, Verdict } from "./filter-chain.ts";
import type { FilterMetrics } from "./filter-metrics.ts";

/** Requests delayed at the same time on one thread; beyond, none is delayed: each holds a connection and a timer. */
const MAX_DELAYED = 4096;

/** What faults are injected with. */
export interface FaultParts {
  /** Null: delays take no time, for whoever explains. */
  readonly timers: TimerWheel | null;
  readonly chance: Chance;
  readonly metrics: FilterMetrics;
}

/**
 * Delays and aborts of the route (`spec/03` 3.8), drawn one by one, the delay first. Both come before the router: they use up
 * no time-out of the route, are not retried and say nothing about endpoints.
 */
export class FaultFilter implements Filter {
  readonly name = "fault";
  readonly #parts: FaultParts;
  #delayed = 0;

  constructor(parts: FaultParts) {
    this.#parts = parts;
  }

  check(request: FilterRequest): Verdict {
    const fault = request.route?.fault;
    if (fault === undefined) return undefined;
    const { delay } = fault;
    if (delay === null || !this.#parts.chance(delay.perMillion)) return this.#abort(fault, request);
    if (this.#delayed >= MAX_DELAYED) {
      this.#parts.metrics.faultOverflow();
      return this.#abort(fault, request);
    }
    request.info.addFlag("DI");
    this.#parts.metrics.delayInjected();
    const { timers } = this.#parts;
    return timers === null ? this.#abort(fault, request) : this.#wait(timers, delay.durationMs, fault, request);
  }

  #wait(timers: TimerWheel, durationMs: number, fault: FaultSpec, request: FilterRequest): Promise<LocalReply | undefined> {
    this.#count(1);
    let isWaiting = true;
    const stop = (): void => {
      if (isWaiting) this.#count(-1);
      isWaiting = false;
    };
    return new Promise((resolve) => {
      const timer = timers.schedule(durationMs, () => {
        stop();
        resolve(this.#abort(fault, request));
      });
      request.onAbandoned(() => {
        timer.cancel();
        stop();
      });
    });
  }

  #abort({ abort }: FaultSpec, request: FilterRequest): LocalReply | undefined {
    if (abort === null || !this.#parts.chance(abort.perMillion)) return undefined;
    this.#parts.metrics.abortInjected();
    const { httpStatus: status, grpcStatus } = abort;
    // An answer without content has nothing to say it in.
    const body = status === 204 || status === 304 ? "" : "fault filter abort";
    const reply: LocalReply = { status, headers: [], body, flag: "FI", details: "fault_filter_abort" };
    return grpcStatus === null || !request.info.isGrpc ? reply : { ...reply, grpcStatus };
  }

  #count(change: number): void {
    this.#delayed += change;
    this.#parts.metrics.activeFaults(change);
  }
}
