import type { Random } from "../core/random.ts";
import type { ClusterSpec } from "../config/snapshot.ts";
import type { ClusterMetrics } from "./cluster-metrics.ts";
import { Endpoint, endpointName } from "./endpoint.ts";
import { createPicker, type LoadBalancerPolicy } from "./load-balancer.ts";
import type { OutlierSubject } from "./outlier-detector.ts";
import type { Picker } from "./picker.ts";

/** How often the balancer is asked for another endpoint than those excluded (Istio's `retryIgnorePreviousHosts`). */
const MAX_RESELECTIONS = 5;

/**
 * The endpoints of a cluster and the picker over those that may be picked. Endpoints are kept by address and port from
 * one snapshot to the next, the picker is replaced when anything it saw has changed.
 */
export class EndpointSet implements OutlierSubject {
  readonly #random: Random;
  readonly #metrics: ClusterMetrics;
  #byName = new Map<string, Endpoint>();
  #endpoints: readonly Endpoint[] = [];
  #policy: LoadBalancerPolicy = "ROUND_ROBIN";
  #minHealthPercent = 0;
  #picker: Picker<Endpoint>;
  #isPanicking = false;

  constructor(random: Random, metrics: ClusterMetrics) {
    this.#random = random;
    this.#metrics = metrics;
    this.#picker = createPicker(this.#policy, [], null, random);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** True when too few endpoints are healthy and all of them are picked from (`minHealthPercent`). */
  get isPanicking(): boolean {
    return this.#isPanicking;
  }

  /** Takes the endpoints of `spec`; of two with the same address the first counts. Returns those that have left. */
  apply(spec: ClusterSpec): Endpoint[] {
    const byName = new Map<string, Endpoint>();
    let hasChanged = false;
    for (const endpointSpec of spec.endpoints) {
      const name = endpointName(endpointSpec.address, endpointSpec.port);
      if (byName.has(name)) continue;
      const known = this.#byName.get(name);
      if (known === undefined) hasChanged = true;
      else known.spec = endpointSpec;
      byName.set(name, known ?? new Endpoint(endpointSpec));
    }
    const gone = this.#endpoints.filter((endpoint) => !byName.has(endpoint.name));
    this.#byName = byName;
    this.#endpoints = [...byName.values()];
    this.#policy = spec.loadBalancer;
    this.#minHealthPercent = spec.outlierDetection?.minHealthPercent ?? 0;
    this.#rebuild(hasChanged || gone.length > 0);
    return gone;
  }

  healthChanged(): void {
    this.#rebuild(false);
  }

  /**
   * Picks an endpoint that is not in `excluded`; when the balancer does not come up with one, any that is pickable;
   * when all are excluded, one of them. Null when there is nothing to pick.
   */
  pick(excluded: ReadonlySet<Endpoint> | null): Endpoint | null {
    if (this.#isPanicking) this.#metrics.panicPick();
    let endpoint = this.#picker.pick(this.#random);
    if (excluded === null || endpoint === null) return endpoint;
    for (let again = 0; again < MAX_RESELECTIONS && excluded.has(endpoint); again++) {
      endpoint = this.#picker.pick(this.#random) ?? endpoint;
    }
    return excluded.has(endpoint) ? (this.#findOther(excluded) ?? endpoint) : endpoint;
  }

  /**
   * An endpoint that refuses connections has no active requests, so least request may offer it every time. Looking
   * through the others once finds the one that works.
   */
  #findOther(excluded: ReadonlySet<Endpoint>): Endpoint | null {
    const count = this.#endpoints.length;
    const start = Math.floor(this.#random() * count);
    for (let step = 0; step < count; step++) {
      const endpoint = this.#endpoints[(start + step) % count] as Endpoint;
      if ((this.#isPanicking || endpoint.isPickable) && !excluded.has(endpoint)) return endpoint;
    }
    return null;
  }

  #rebuild(hasMembershipChanged: boolean): void {
    const total = this.#endpoints.length;
    const pickable = this.#endpoints.filter((endpoint) => endpoint.isPickable);
    this.#isPanicking = total > 0 && 100 * pickable.length < this.#minHealthPercent * total;
    this.#picker = createPicker(this.#policy, this.#isPanicking ? this.#endpoints : pickable, this.#picker, this.#random);
    const ejected = this.#endpoints.filter((endpoint) => endpoint.isEjected).length;
    this.#metrics.membership(total, pickable.length, ejected, hasMembershipChanged);
  }
}
