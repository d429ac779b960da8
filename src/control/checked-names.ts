import { DnsEndpoints } from "../cluster/dns-endpoints.ts";
import { DnsNames } from "../cluster/dns-names.ts";
import type { ClusterSpec, EndpointSpec } from "../config/snapshot.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { Logger } from "../telemetry/log.ts";
import type { AddressLookup } from "../upstream/address-lookup.ts";

/** An endpoint as its cluster knows it, and where it is to be dialled. */
export interface PlacedEndpoint {
  readonly spec: EndpointSpec;
  readonly address: string;
}

export interface CheckedNamesParts {
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Logger;
  readonly lookup: AddressLookup;
}

/** The addresses of checked endpoints that are names, found as the data threads find them, by lookups of our own. */
export class CheckedNames {
  readonly #timers: TimerWheel;
  readonly #names: DnsNames;
  readonly #changed: () => void;
  /** By the name of the cluster. */
  readonly #clusters = new Map<string, DnsEndpoints>();

  /** `changed` is told after every answer. */
  constructor({ timers, random, log, lookup }: CheckedNamesParts, changed: () => void) {
    this.#timers = timers;
    this.#names = new DnsNames({ timers, random, lookup, failed: (name, reason) => log.limited("warn", "health check: a name has no address", { name, reason }) });
    this.#changed = changed;
  }

  /** The endpoints of a cluster that have an address now. Its names are looked up until `keep` leaves it out. */
  endpointsOf({ name, dns, endpoints }: ClusterSpec): PlacedEndpoint[] {
    if (dns === undefined) return endpoints.map((spec) => ({ spec, address: spec.address }));
    let known = this.#clusters.get(name);
    if (known === undefined) {
      known = new DnsEndpoints(dns, this.#names, this.#timers, this.#changed);
      this.#clusters.set(name, known);
    }
    known.apply(dns, endpoints);
    const resolved = known;
    return resolved.endpoints.map((spec) => ({ spec, address: resolved.addressOf(spec.address) ?? spec.address }));
  }

  /** Looks up names of these clusters only. */
  keep(clusters: ReadonlySet<string>): void {
    for (const [name, endpoints] of this.#clusters) {
      if (clusters.has(name)) continue;
      endpoints.stop();
      this.#clusters.delete(name);
    }
  }
}
