import type { LocalitySpec } from "../config/snapshot-cluster.ts";
import type { Random } from "../core/random.ts";
import { EdfSchedule, weighByWeight } from "./edf-schedule.ts";
import { type Balancing, createPicker } from "./load-balancer.ts";
import { type LocalityShare, localityShares } from "./locality-shares.ts";
import type { LatencyCandidate, PeakLatency } from "./peak-ewma.ts";
import type { Candidate, Picker } from "./picker.ts";
import type { PriorityLevel } from "./priority-levels.ts";

/** A candidate that is somewhere. */
export interface Located extends LatencyCandidate {
  /** `region/zone/subzone`; empty where it is not known. */
  readonly locality: string;
}

/** Turns at most that the localities of a new cluster have behind them. */
const FIRST_TURNS = 100;

/** The share of a locality, and who is there; the same object for as long as the locality has endpoints. */
class Place<C extends Candidate> implements Candidate {
  readonly activeRequests = 0;
  readonly hashKey: string;
  weight: number;
  picker: Picker<C>;

  constructor(locality: string, weight: number, picker: Picker<C>) {
    this.hashKey = locality;
    this.weight = weight;
    this.picker = picker;
  }
}

/** A candidate on a ring or a table that all localities share: its own weight times that of its share of the locality. */
class Shared<C extends LatencyCandidate> implements LatencyCandidate {
  readonly candidate: C;
  readonly weight: number;

  constructor(candidate: C, weight: number) {
    this.candidate = candidate;
    this.weight = weight;
  }

  get hashKey(): string {
    return this.candidate.hashKey;
  }

  get activeRequests(): number {
    return this.candidate.activeRequests;
  }

  get latency(): PeakLatency | null {
    return this.candidate.latency;
  }
}

/**
 * Picks among the localities of one priority by their weights, and within a locality as the cluster balances (Envoy's
 * locality weighted and zone aware load balancing, `spec/04` 4.6).
 */
export class LocalityPicker<C extends Located> implements Picker<C> {
  readonly #places = new Map<string, Place<C>>();
  readonly #schedule: EdfSchedule<Place<C>>;

  constructor(balancing: Balancing, shares: ReadonlyMap<string, LocalityShare<C>>, previous: Picker<C> | null, random: Random) {
    const before = previous instanceof LocalityPicker ? (previous as LocalityPicker<C>) : null;
    for (const [locality, { weight, usable }] of shares) {
      const known = before === null ? undefined : before.#places.get(locality);
      const picker = createPicker(balancing, usable, known?.picker ?? null, random);
      const place = known ?? new Place(locality, weight, picker);
      place.weight = weight;
      place.picker = picker;
      this.#places.set(locality, place);
    }
    this.#schedule = new EdfSchedule([...this.#places.values()], weighByWeight, before === null ? null : before.#schedule, random);
    // A schedule whose weights differ favours the heavy at its very beginning, and many proxies begin together.
    if (before === null) for (let turn = Math.floor(random() * FIRST_TURNS); turn > 0; turn--) this.#schedule.pick();
  }

  pick(random: Random): C | null {
    const place = this.#schedule.pick();
    return place === null ? null : place.picker.pick(random);
  }
}

/** A ring or a table over all localities, in which each has its share. */
class HashedLocalityPicker<C extends Located> implements Picker<C> {
  readonly #picker: Picker<Shared<C>>;

  constructor(balancing: Balancing, shares: ReadonlyMap<string, LocalityShare<C>>, random: Random) {
    const shared = [...shares.values()].flatMap(({ weight, usable }) => {
      const sum = usable.reduce((total, candidate) => total + candidate.weight, 0);
      return usable.map((candidate) => new Shared(candidate, (candidate.weight * weight) / sum));
    });
    this.#picker = createPicker(balancing, shared, null, random);
  }

  pick(random: Random, hash: bigint | null = null): C | null {
    // Any place on the ring: what has no hash is shared by weight, too.
    return this.#picker.pick(random, hash ?? BigInt(Math.floor(random() * 2 ** 52)) << 12n)?.candidate ?? null;
  }
}

/**
 * The picker of one priority: by the weights of its localities where there are any, and none is in a panic, else among all that
 * are usable.
 */
export function levelPicker<C extends Located>(
  balancing: Balancing,
  level: PriorityLevel<C>,
  localities: LocalitySpec | null,
  previous: Picker<C> | null,
  random: Random,
): Picker<C> {
  const shares = localityShares(level, localities, balancing.hash !== undefined);
  if (shares === null) return createPicker(balancing, level.usable, previous, random);
  return balancing.hash === undefined ? new LocalityPicker(balancing, shares, previous, random) : new HashedLocalityPicker(balancing, shares, random);
}
