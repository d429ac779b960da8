import type { EndpointSpec } from "../config/snapshot.ts";
import { IdleLimit } from "./idle-limit.ts";
import { OutlierState } from "./outlier-state.ts";
import type { LatencyCandidate, PeakLatency } from "./peak-ewma.ts";
import type { SlowStart } from "./slow-start.ts";

/**
 * One address of a cluster and what lives with it. It survives new snapshots for as long as the cluster has an endpoint
 * with this address and port; `spec` is what the newest snapshot says of it.
 */
export class Endpoint implements LatencyCandidate {
  /** `10.0.0.1:9080`, `[2001:db8::1]:9080`: `%UPSTREAM_HOST%`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  spec: EndpointSpec;
  /** Where to dial, of an endpoint whose address is a name; null: at its address. */
  dialAddress: string | null = null;
  /** Active health checks say that it is not to be used. */
  isFailingChecks = false;
  /** Requests and opaque connections that were given to it and are not over, those that wait for a connection too. */
  activeRequests = 0;
  /** Since it is known; for `/clusters`. */
  totalRequests = 0;
  connectFailures = 0;
  /** Whether it took the multiplexed hop when it was last offered; null while that is not known. */
  takesHop: boolean | null = null;
  /** Null where nobody asks how fast it answers. */
  latency: PeakLatency | null = null;
  /** Null once it has its whole weight. */
  slowStart: SlowStart | null = null;
  /** `Clock.monotonicMs` of the moment it joined the cluster. */
  readonly addedAtMs: number;
  readonly outlier = new OutlierState();
  readonly idleLimit = new IdleLimit();

  constructor(spec: EndpointSpec, addedAtMs: number) {
    this.addedAtMs = addedAtMs;
    this.name = endpointName(spec.address, spec.port);
    this.address = spec.address;
    this.port = spec.port;
    this.spec = spec;
  }

  /** Weight for balancing; Istio reads 0 as "not set", which is 1. Less while it starts slowly. */
  get weight(): number {
    const weight = this.spec.weight > 0 ? this.spec.weight : 1;
    return this.slowStart === null ? weight : weight * this.slowStart.share;
  }

  get hashKey(): string {
    return this.name;
  }

  /** 0 is the first choice; the others take what it cannot (`spec/04` 4.6). */
  get priority(): number {
    return this.spec.priority ?? 0;
  }

  /** `region/zone/subzone`; empty where it is not known. */
  get locality(): string {
    return this.spec.locality ?? "";
  }

  get isEjected(): boolean {
    return this.outlier.ejectedAtMs !== null;
  }

  /** Ready by its source, well by its checks if there are any, and not ejected. */
  get isPickable(): boolean {
    return this.spec.isHealthy && !this.isFailingChecks && this.outlier.ejectedAtMs === null;
  }
}

/** `address:port`, an IPv6 address in brackets. */
export function endpointName(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
