import type { Random } from "../core/random.ts";
import type { Candidate, Picker } from "./picker.ts";

/** What a candidate weighs in the round-robin schedule, at the moment it is picked. */
export type Weigh = (candidate: Candidate) => number;

/** ROUND_ROBIN: its weight. */
export function weighByWeight(candidate: Candidate): number {
  return candidate.weight;
}

/** LEAST_REQUEST with unequal weights, `active_request_bias` 1: the more requests it has, the lighter it is. */
export function weighByLoad(candidate: Candidate): number {
  return candidate.weight / (candidate.activeRequests + 1);
}

class Entry<C extends Candidate> {
  readonly candidate: C;
  deadline: number;

  constructor(candidate: C, deadline: number) {
    this.candidate = candidate;
    this.deadline = deadline;
  }
}

/**
 * Earliest deadline first, as Envoy schedules weighted round robin: each candidate is due again 1/weight after it was
 * picked, and the one that is due first is next. With equal weights it is plain round robin; with others the heavier
 * come more often, evenly spread rather than in bursts.
 *
 * A candidate that the schedule has not seen starts at a random phase of its period: many proxies that start together
 * do not all open on the same endpoint. One that was in the schedule this one replaces keeps its phase.
 */
export class EdfSchedule<C extends Candidate> implements Picker<C> {
  /** A binary heap, earliest deadline at the top. */
  readonly #heap: Entry<C>[] = [];
  readonly #weigh: Weigh;
  #now = 0;

  constructor(candidates: readonly C[], weigh: Weigh, previous: EdfSchedule<C> | null, random: Random) {
    this.#weigh = weigh;
    const phases = previous === null ? null : previous.#phases();
    for (const candidate of candidates) {
      const phase = phases?.get(candidate) ?? random();
      this.#heap.push(new Entry(candidate, phase / weigh(candidate)));
    }
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#sink(index);
  }

  pick(): C | null {
    const top = this.#heap[0];
    if (top === undefined) return null;
    this.#now = top.deadline;
    top.deadline = this.#now + 1 / this.#weigh(top.candidate);
    this.#sink(0);
    return top.candidate;
  }

  /** How far each candidate is from its turn, as a share of its period: 0 is due, 1 was picked just now. */
  #phases(): Map<C, number> {
    const phases = new Map<C, number>();
    for (const entry of this.#heap) {
      phases.set(entry.candidate, (entry.deadline - this.#now) * this.#weigh(entry.candidate));
    }
    return phases;
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const entry = heap[start] as Entry<C>;
    let hole = start;
    for (;;) {
      let child = hole * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.deadline < (heap[child] as Entry<C>).deadline) child++;
      const smaller = heap[child] as Entry<C>;
      if (smaller.deadline >= entry.deadline) break;
      heap[hole] = smaller;
      hole = child;
    }
    heap[hole] = entry;
  }
}
