import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { ProbeTarget } from "./health-probe.ts";
import { HealthVerdict, type ProbeOutcome } from "./health-verdict.ts";

/** Intervals are lengthened by up to this part, so that endpoints are not all asked at the same moment. */
const JITTER = 0.1;

/** A probe under way. */
export interface Probing {
  cancel(): void;
}

/** What a checked endpoint has of those who check. */
export interface CheckHost {
  readonly timers: TimerWheel;
  readonly random: Random;
  /** Starts a probe, now or when its turn comes. */
  probe(target: ProbeTarget, done: (outcome: ProbeOutcome) => void): Probing;
  /** A probe came to an end; `hasChanged`: the endpoint is healthy from now on, or unhealthy. */
  probed(endpoint: CheckedEndpoint, outcome: ProbeOutcome, hasChanged: boolean): void;
}

/** An endpoint that is asked again and again whether it is well: at once when it is new, then at every interval. */
export class CheckedEndpoint {
  readonly target: ProbeTarget;
  /** `address:port`, as the clusters know it: the port that is probed may be another one. */
  readonly name: string;
  readonly verdict = new HealthVerdict();
  /** By name; whoever checks writes to it. */
  readonly clusters = new Set<string>();
  readonly #host: CheckHost;
  #timer: Timer | null = null;
  #probing: Probing | null = null;

  constructor(name: string, target: ProbeTarget, host: CheckHost) {
    this.name = name;
    this.target = target;
    this.#host = host;
  }

  start(): void {
    this.#probing = this.#host.probe(this.target, (outcome) => this.#onOutcome(outcome));
  }

  stop(): void {
    this.#timer?.cancel();
    this.#probing?.cancel();
  }

  #onOutcome(outcome: ProbeOutcome): void {
    const { spec } = this.target;
    this.#probing = null;
    this.#timer = this.#host.timers.schedule(spec.intervalMs * (1 + JITTER * this.#host.random()), () => this.start());
    this.#host.probed(this, outcome, this.verdict.observe(outcome, spec));
  }
}
