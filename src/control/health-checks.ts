import { endpointName } from "../cluster/endpoint.ts";
import type { ClusterSpec, EndpointSpec, Snapshot } from "../config/snapshot.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { IdentityMaterial } from "../identity/identity-material.ts";
import { TlsIdentity } from "../identity/tls-identity.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import { type AddressLookup, addressLookup } from "../upstream/address-lookup.ts";
import { Connector } from "../upstream/connector.ts";
import { isMeshTls, originatedTls, type TransportTls } from "../upstream/transport-tls.ts";
import { CheckedEndpoint, type CheckHost, type Probing } from "./checked-endpoint.ts";
import { CheckedNames } from "./checked-names.ts";
import { HealthCheckMetrics } from "./health-check-metrics.ts";
import { HealthProbe, type ProbeTarget } from "./health-probe.ts";
import type { ProbeOutcome } from "./health-verdict.ts";

/** Probes under way at the same time; the others wait their turn. */
const MAX_PROBES = 64;

export interface HealthChecksParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: SeriesWriter;
  /** Absent: as the host resolves names. */
  readonly lookup?: AddressLookup;
  /** Endpoints of a cluster, `address:port`, that are not to get requests; all that are, each time. */
  readonly publish: (cluster: string, failing: readonly string[]) => void;
}

/**
 * Active health checks of the clusters that ask for them (`HealthCheckSpec`). They are made here, once for the process, and
 * the data threads are told what came of them. An endpoint that several clusters share is asked once for all.
 */
export class HealthChecks implements CheckHost {
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly #parts: HealthChecksParts;
  readonly #metrics: HealthCheckMetrics;
  readonly #identity: TlsIdentity;
  readonly #connector: Connector;
  /** By everything that a probe depends on. */
  #endpoints = new Map<string, CheckedEndpoint>();
  /** Clusters with checks, and their endpoints. */
  #clusters = new Map<string, readonly CheckedEndpoint[]>();
  readonly #names: CheckedNames;
  #snapshot: Snapshot | null = null;
  readonly #waiting = new Set<() => void>();
  /** Probes that need a certificate, before there is one. */
  readonly #unidentified = new Set<() => void>();
  #underWay = 0;

  constructor(parts: HealthChecksParts) {
    this.#parts = parts;
    this.timers = parts.timers;
    this.random = parts.random;
    this.#metrics = new HealthCheckMetrics(parts.metrics);
    this.#identity = new TlsIdentity(parts.clock);
    this.#connector = new Connector({ identity: this.#identity, timers: parts.timers, trustDomains: () => this.#snapshot?.trustDomains ?? [] });
    this.#names = new CheckedNames({ ...parts, lookup: parts.lookup ?? addressLookup() }, () => this.#onLookup());
  }

  /** Probes from now on prove this identity, to endpoints that take mesh TLS. */
  applyIdentity(material: IdentityMaterial): void {
    this.#identity.apply(material);
    for (const start of this.#unidentified) start();
    this.#unidentified.clear();
  }

  /** Checks what `snapshot` asks for, and nothing else any more. What is asked for as before goes on as it was. */
  apply(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    const known = this.#endpoints;
    const before = this.#clusters;
    this.#endpoints = new Map();
    this.#clusters = new Map();
    for (const endpoint of known.values()) endpoint.clusters.clear();
    for (const cluster of snapshot.clusters) this.#applyCluster(cluster, known);
    this.#names.keep(new Set(this.#clusters.keys()));
    for (const [key, endpoint] of known) if (!this.#endpoints.has(key)) endpoint.stop();
    for (const [key, endpoint] of this.#endpoints) if (!known.has(key)) endpoint.start();
    for (const name of before.keys()) {
      if (this.#clusters.has(name)) continue;
      this.#parts.publish(name, []);
      this.#metrics.healthy(name, 0);
    }
    for (const name of this.#clusters.keys()) this.#tell(name);
  }

  /** Checks nothing any more. What was found stays. */
  stop(): void {
    this.#snapshot = null;
    this.#names.keep(new Set());
    for (const endpoint of this.#endpoints.values()) endpoint.stop();
    this.#waiting.clear();
    this.#unidentified.clear();
  }

  // === From checked endpoints ===

  probe(target: ProbeTarget, done: (outcome: ProbeOutcome) => void): Probing {
    let probe: HealthProbe | null = null;
    const start = (): void => {
      this.#underWay++;
      probe = new HealthProbe(target, { connector: this.#connector, clock: this.#parts.clock, timers: this.timers }, (outcome) => {
        probe = null;
        this.#next();
        done(outcome);
      });
      probe.start();
    };
    // Who we are is not known for the first moments, which is not the endpoint's fault.
    if (isMeshTls(target.tls) && this.#identity.clientContext === null) this.#unidentified.add(start);
    else if (this.#underWay < MAX_PROBES) start();
    else this.#waiting.add(start);
    return {
      cancel: () => {
        this.#waiting.delete(start);
        this.#unidentified.delete(start);
        if (probe === null) return;
        probe.cancel();
        probe = null;
        this.#next();
      },
    };
  }

  probed(endpoint: CheckedEndpoint, outcome: ProbeOutcome, hasChanged: boolean): void {
    for (const cluster of endpoint.clusters) this.#metrics.probed(cluster, outcome);
    if (!hasChanged) return;
    const { isHealthy } = endpoint.verdict;
    const fields = { endpoint: endpoint.name, clusters: [...endpoint.clusters].join(","), reason: outcome.reason };
    if (isHealthy) this.#parts.log.info("health check: endpoint is healthy again", fields);
    else this.#parts.log.warn("health check: endpoint is unhealthy", fields);
    for (const cluster of endpoint.clusters) this.#tell(cluster);
  }

  /** Endpoints that are names may have other addresses now. */
  #onLookup(): void {
    if (this.#snapshot !== null) this.apply(this.#snapshot);
  }

  #next(): void {
    this.#underWay--;
    for (const start of this.#waiting) {
      this.#waiting.delete(start);
      start();
      return;
    }
  }

  #applyCluster(cluster: ClusterSpec, known: ReadonlyMap<string, CheckedEndpoint>): void {
    const { healthCheck } = cluster;
    if (healthCheck === undefined) return;
    const checked = new Map<string, CheckedEndpoint>();
    for (const { spec, address } of this.#names.endpointsOf(cluster)) {
      const target: ProbeTarget = {
        address, port: healthCheck.port ?? spec.port, tls: tlsOf(cluster, spec), isHttp2: cluster.protocol === "http2",
        proxyProtocol: cluster.proxyProtocol ?? null, spec: healthCheck,
      };
      const name = endpointName(spec.address, spec.port);
      const key = JSON.stringify([name, target]);
      const endpoint = this.#endpoints.get(key) ?? known.get(key) ?? new CheckedEndpoint(name, target, this);
      this.#endpoints.set(key, endpoint);
      endpoint.clusters.add(cluster.name);
      // Of two with the same address the first counts, as for the cluster.
      if (!checked.has(name)) checked.set(name, endpoint);
    }
    this.#clusters.set(cluster.name, [...checked.values()]);
  }

  #tell(cluster: string): void {
    const endpoints = this.#clusters.get(cluster) ?? [];
    const failing = endpoints.filter(({ verdict }) => !verdict.isHealthy).map(({ name }) => name);
    this.#metrics.healthy(cluster, endpoints.length - failing.length);
    this.#parts.publish(cluster, failing);
  }
}

/** How requests to the endpoint are protected. */
function tlsOf(cluster: ClusterSpec, endpoint: EndpointSpec): TransportTls | null {
  if (cluster.originatedTls !== undefined) return originatedTls(cluster.originatedTls, cluster.healthCheck?.host ?? null);
  return endpoint.isMeshTls ? cluster.tls : null;
}
