import { isIP } from "node:net";
import { isDeepStrictEqual } from "node:util";

import type { EndpointSpec } from "../config/snapshot.ts";
import type { DnsSpec } from "../config/snapshot-cluster.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import type { DnsNames, LookupOutcome, NameWatch } from "./dns-names.ts";

/** How long a request waits for the first answer to a name. */
const FIRST_ANSWER_MS = 5_000;
/** Requests that wait for it at the same time. */
const MAX_WAITING = 1_024;

/** What a request that waits for addresses can do about it. */
export interface AddressWait {
  cancel(): void;
}

/**
 * The endpoints of a cluster whose endpoints are names (`spec/04`, Envoy's STRICT_DNS and LOGICAL_DNS). Strictly, every
 * address of a name is an endpoint; logically, the name itself is the one, and each new connection goes to the first address
 * of the newest answer, so that connections outlive the address they were made to.
 */
export class DnsEndpoints {
  readonly #names: DnsNames;
  readonly #timers: TimerWheel;
  readonly #changed: (outcome: LookupOutcome) => void;
  #watches = new Map<string, NameWatch>();
  #dns: DnsSpec;
  #specs: readonly EndpointSpec[] = [];
  #resolved: readonly EndpointSpec[] = [];
  readonly #waiting = new Set<() => void>();
  #timer: Timer | null = null;
  /** Waiting has taken too long, or is over: whoever comes before the next answer does not begin to. */
  #isHopeless = false;

  /** `changed` hears of every lookup that ended. */
  constructor(spec: DnsSpec, names: DnsNames, timers: TimerWheel, changed: (outcome: LookupOutcome) => void) {
    this.#dns = spec;
    this.#names = names;
    this.#timers = timers;
    this.#changed = changed;
  }

  /** Takes the names of a spec; those known already keep their addresses. */
  apply(dns: DnsSpec, endpoints: readonly EndpointSpec[]): void {
    const isSame = dns.family === this.#dns.family && dns.refreshMs === this.#dns.refreshMs;
    this.#dns = dns;
    this.#specs = endpoints;
    const old = this.#watches;
    this.#watches = new Map();
    for (const { address } of endpoints) {
      if (isIP(address) !== 0 || this.#watches.has(address)) continue;
      const known = isSame ? old.get(address) : undefined;
      this.#watches.set(address, known ?? this.#names.watch(address, dns.family, dns.refreshMs, (outcome) => this.#onAnswer(outcome)));
    }
    for (const [name, watch] of old) if (this.#watches.get(name) !== watch) watch.stop();
    this.#resolve();
  }

  /** What the cluster is made of now; the same object for as long as that is the same. */
  get endpoints(): readonly EndpointSpec[] {
    return this.#resolved;
  }

  /** Where to dial for the endpoint called `name`; null: at the name's own address. */
  addressOf(name: string): string | null {
    return this.#dns.mode === "LOGICAL_DNS" ? (this.#watches.get(name)?.addresses?.[0] ?? null) : null;
  }

  /** Why names have no address, for who is refused; empty when there is nothing to say. */
  get problem(): string {
    const problems = [...this.#watches.values()].flatMap(({ problem, addresses }) => (problem === null || (addresses ?? []).length > 0 ? [] : [problem]));
    return problems.slice(0, 3).join("; ");
  }

  /** No name has been answered for yet, and some lookup is still on its way. */
  get isAwaiting(): boolean {
    return !this.#isHopeless && this.#resolved.length === 0 && [...this.#watches.values()].some(({ isTried }) => !isTried);
  }

  /** `again` is called when there are addresses, or no hope of any soon. Null: there is nothing worth waiting for. */
  wait(again: () => void): AddressWait | null {
    if (!this.isAwaiting || this.#waiting.size >= MAX_WAITING) return null;
    this.#waiting.add(again);
    this.#timer ??= this.#timers.schedule(FIRST_ANSWER_MS, () => this.#giveUp());
    return { cancel: () => void this.#waiting.delete(again) };
  }

  /** No lookups any more; the addresses stay. */
  stop(): void {
    for (const watch of this.#watches.values()) watch.stop();
    this.#giveUp();
  }

  #resolve(): void {
    const resolved = this.#specs.flatMap((spec) => {
      const watch = this.#watches.get(spec.address);
      if (watch === undefined) return [spec];
      const addresses = watch.addresses ?? [];
      if (this.#dns.mode === "LOGICAL_DNS") return addresses.length === 0 ? [] : [spec];
      // Name servers turn their answers around: another order is no change.
      return addresses.toSorted().map((address) => ({ ...spec, address }));
    });
    if (!isDeepStrictEqual(resolved, this.#resolved)) this.#resolved = resolved;
  }

  #onAnswer(outcome: LookupOutcome): void {
    this.#isHopeless = false;
    this.#resolve();
    this.#changed(outcome);
    if (!this.isAwaiting) this.#releaseAll();
  }

  #giveUp(): void {
    this.#isHopeless = true;
    this.#releaseAll();
  }

  #releaseAll(): void {
    this.#timer?.cancel();
    this.#timer = null;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const again of waiting) again();
  }
}
