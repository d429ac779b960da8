import type { ClusterState } from "./cluster/cluster-state.ts";
import { DnsNames } from "./cluster/dns-names.ts";
import { loadHash64 } from "./cluster/hash64.ts";
import type { OutlierEvent } from "./cluster/outlier-detector.ts";
import type { SharedCounts } from "./cluster/shared-counts.ts";
import type { InboundRefusal } from "./connection/inbound-refusal.ts";
import type { Snapshot } from "./config/snapshot.ts";
import type { Clock } from "./core/clock.ts";
import type { Random } from "./core/random.ts";
import type { TimerWheel } from "./core/timer-wheel.ts";
import type { RateLimitParts } from "./filter/rate-limiters.ts";
import type { DenialRecord } from "./filter/rbac-denials.ts";
import type { DryRunReport } from "./filter/rbac-dry-runs.ts";
import { AuthorizationJournal } from "./filter/rbac-journal.ts";
import type { IdentityMaterial } from "./identity/identity-material.ts";
import { TlsIdentity } from "./identity/tls-identity.ts";
import { loadJose } from "./filter/jose.ts";
import type { FetchedKeys } from "./filter/jwt-authn.ts";
import { inbound } from "./inbound.ts";
import type { ListenerRefusal } from "./listener/listener.ts";
import type { SocketAddress } from "./message/connection-facts.ts";
import type { OriginalDestination } from "./listener/original-destination.ts";
import { outbound } from "./outbound.ts";
import type { CheckedDirection, ListenOptions, Parts, TunnelledDirection } from "./parts.ts";
import { GaveUpRequests } from "./router/gave-up-requests.ts";
import { AccessLog } from "./telemetry/access-log.ts";
import { AuthorizationSeries } from "./telemetry/authorization-series.ts";
import { ClusterSeries } from "./telemetry/cluster-series.ts";
import { DefectReports } from "./telemetry/defect-reports.ts";
import { ExternalAuthorizationSeries } from "./telemetry/external-authorization-series.ts";
import { FilterSeries } from "./telemetry/filter-series.ts";
import { ListenerSeries } from "./telemetry/listener-series.ts";
import type { Logger, LogSink } from "./telemetry/log.ts";
import { RequestMetrics } from "./telemetry/request-metrics.ts";
import { RouteSeries } from "./telemetry/route-series.ts";
import type { SeriesWriter } from "./telemetry/series-writer.ts";
import { TcpMetrics } from "./telemetry/tcp-metrics.ts";
import { type AddressLookup, addressLookup } from "./upstream/address-lookup.ts";

/** How often metric series that stand still are looked for. */
const SWEEP_MS = 60_000;

/** What a data plane is handed by whoever runs it: a data thread, or a test. */
export interface DataPlaneOptions {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly originalDestination: OriginalDestination;
  readonly log: Logger;
  readonly accessLog: LogSink;
  readonly series: SeriesWriter;
  readonly listen: ListenOptions;
  /** Connections are closed when the peer's certificate ends; absent: they go on. */
  readonly closeExpired?: boolean;
  /** Where this process is commanded, on loopback; nothing is led there. Absent: nowhere. */
  readonly commandPorts?: readonly number[];
  /** The token buckets of all data threads together; absent: this one is alone. */
  readonly rateLimits?: Pick<RateLimitParts, "timeOffsetMs" | "memory">;
  /** What all data threads together have under way of a cluster; absent: this one is alone. */
  readonly sharedCounts?: (cluster: string) => SharedCounts | null;
  /** An endpoint was ejected, or is used again, which the other data threads do too; absent: this one is alone. */
  readonly outlier?: (event: OutlierEvent) => void;
  /** A token asks for a key that a source's are not; absent: nobody fetches any. */
  readonly keysMissing?: (source: string) => void;
  /** How names are looked up, and how long an answer is used at least; absent: as the host does. */
  readonly names?: { readonly lookup: AddressLookup; readonly minTtlMs: number };
}

/** Clusters and endpoints of both directions as they are now. */
export interface ThreadClusters {
  readonly outbound: readonly ClusterState[];
  readonly inbound: readonly ClusterState[];
}

/** What a data thread has to tell of authorization when it is asked. */
export interface ThreadAuthorization {
  readonly dryRuns: readonly DryRunReport[];
  /** Null when none was asked about, or that one is not, or no longer, known. */
  readonly denial: DenialRecord | null;
}

/** The ports of the capture listeners and of the one for tunnels, once they listen. */
export interface CapturePorts {
  readonly outbound: number;
  readonly inbound: number;
  /** Null: there is none. */
  readonly hbone: number | null;
}

/** Composition root of a data thread: both directions, what they share, and what a snapshot means to each. */
export class DataPlane {
  readonly #options: DataPlaneOptions;
  readonly #identity: TlsIdentity;
  readonly #requestMetrics: RequestMetrics;
  readonly #tcpMetrics: TcpMetrics;
  readonly #accessLog: AccessLog;
  readonly #authorization: AuthorizationJournal;
  readonly #directions: readonly [CheckedDirection, TunnelledDirection];
  #snapshot: Snapshot;
  /** The newest that was to be obeyed. */
  #newest: Snapshot;
  #newestApplied: Promise<string[]> = Promise.resolve([]);
  /** Came while that one was being made ready, by whose policies those are judged whom this lets in. */
  #nextIdentity: IdentityMaterial | null = null;

  /** Nothing listens before `listen()`; `snapshot` is obeyed from the start. */
  constructor(options: DataPlaneOptions, snapshot: Snapshot) {
    this.#options = options;
    this.#snapshot = this.#newest = snapshot;
    this.#identity = new TlsIdentity(options.clock);
    this.#requestMetrics = new RequestMetrics(options.series, snapshot.workload);
    this.#tcpMetrics = new TcpMetrics(options.series, snapshot.workload);
    this.#accessLog = new AccessLog(options.accessLog, options.clock);
    this.#authorization = new AuthorizationJournal({ ...options, series: new AuthorizationSeries(options.series) });
    const parts = this.#parts();
    const out = outbound(parts);
    this.#directions = [out, inbound(parts, (name) => out.cluster(name))];
    this.#scheduleSweep();
  }

  /**
   * Obeys a snapshot from now on; requests under way end under the one they began with. Gives a line per listener that cannot bind, once this
   * snapshot is in force, or the one that overtook it.
   */
  apply(snapshot: Snapshot): Promise<string[]> {
    this.#newest = snapshot;
    this.#newestApplied = this.#obey(snapshot);
    return this.#newestApplied;
  }

  async #obey(snapshot: Snapshot): Promise<string[]> {
    const needsHash = snapshot.clusters.some(({ hash }) => hash !== undefined);
    const needsJose = snapshot.inbound.jwtRules !== undefined;
    if (needsHash || needsJose) {
      await Promise.all([needsHash && loadHash64(), needsJose && loadJose()]);
      // Overtaken: what came meanwhile is in force, or soon will be; whether it can be is told to whoever brought it.
      if (this.#newest !== snapshot) return this.#newestApplied.catch(() => []);
    }
    const hasOtherTrust = this.#snapshot.trustDomains.join() !== snapshot.trustDomains.join();
    this.#snapshot = snapshot;
    if (hasOtherTrust) this.#identity.trustDomainsChanged();
    this.#requestMetrics.apply(snapshot.workload);
    this.#tcpMetrics.apply(snapshot.workload);
    this.#accessLog.isEnabled = snapshot.accessLog;
    const binding = this.#directions.map((direction) => direction.apply(snapshot));
    if (this.#nextIdentity !== null) this.applyIdentity(this.#nextIdentity);
    const problems = await Promise.all(binding);
    if (hasOtherTrust) for (const direction of this.#directions) direction.identityChanged();
    return problems.flat();
  }

  /** New certificates: handshakes from now on use them, connections stay. They never overtake a snapshot that was given before. */
  applyIdentity(material: IdentityMaterial): void {
    if (this.#newest !== this.#snapshot) {
      this.#nextIdentity = material;
      return;
    }
    this.#nextIdentity = null;
    this.#identity.apply(material);
    for (const direction of this.#directions) direction.identityChanged();
  }

  /** Endpoints of a cluster, `address:port`, that active health checks speak against; all that are, each time. */
  applyHealth(cluster: string, failing: readonly string[]): void {
    this.#directions[0].applyHealth(cluster, failing);
  }

  /** What another data thread did with an endpoint. */
  heardOutlier(event: OutlierEvent): void {
    this.#directions[0].heardOutlier(event);
  }

  /** The keys of all issuers, as they were last fetched. */
  useKeys(keys: FetchedKeys): void {
    this.#directions[1].useKeys(keys);
  }

  async listen(): Promise<CapturePorts> {
    const [out, into] = this.#directions;
    return { outbound: await out.listen(), inbound: await into.listen(), hbone: await into.listenForTunnels() };
  }

  /** Inbound finishes what is under way; outbound stays open for the application's last calls (`spec/07` 7.13). */
  drain(): void {
    this.#directions[1].drain();
  }

  /** Streams and opaque connections under way. */
  activeCount(): number {
    return this.#directions.reduce((sum, direction) => sum + direction.activeCount(), 0);
  }

  clusterState(): ThreadClusters {
    return { outbound: this.#directions[0].clusterState(), inbound: this.#directions[1].clusterState() };
  }

  /** What there is to tell of authorization; `denial` is the id of a denial that is asked about. */
  authorizationState(denial: string | null): ThreadAuthorization {
    return { dryRuns: this.#authorization.dryRuns(), denial: denial === null ? null : this.#authorization.denial(denial) };
  }

  /** Stops listening, for good; what is open goes on. */
  stopAccepting(): void {
    for (const direction of this.#directions) direction.stopAccepting();
  }

  /** Stops listening and cuts what is open. */
  destroy(): void {
    this.stopAccepting();
    for (const direction of this.#directions) direction.destroy();
  }

  #parts(): Parts {
    const options = this.#options;
    const listeners = new ListenerSeries(options.series);
    const clusters = new ClusterSeries(options.series);
    const defects = new DefectReports(options.series, options.log);
    return {
      ...options,
      names: new DnsNames({
        ...(options.names ?? { lookup: addressLookup() }),
        timers: options.timers,
        random: options.random,
        failed: (name, reason, keeps) => options.log.limited("warn", "name not resolved", { name, reason, keeps: keeps.join(",") }),
      }),
      identity: this.#identity,
      ownPorts: [...(options.commandPorts ?? []), options.listen.outboundPort, options.listen.inboundPort].filter((port) => port !== 0),
      authorization: this.#authorization,
      trustDomains: () => this.#snapshot.trustDomains,
      streamObservers: [this.#requestMetrics, new RouteSeries(options.series), this.#accessLog],
      tcpObservers: [this.#tcpMetrics, this.#accessLog],
      listenerObserver: {
        accepted: (listener) => listeners.accepted(listener),
        closed: (listener) => listeners.closed(listener),
        refused: (listener, remote, reason) => this.#onListenerRefused(listener, remote, reason, listeners),
        defect: (_listener, cause) => defects.report("listener", cause),
      },
      clusterMetrics: (name) => clusters.of(name),
      externalAuthorization: (provider, cluster) => new ExternalAuthorizationSeries(options.series, provider, cluster),
      rateLimits: { clock: options.clock, ...(options.rateLimits ?? { timeOffsetMs: 0 }) },
      filterMetrics: (direction) => new FilterSeries(options.series, direction),
      outlierObserver: { outlier: (event) => this.#onOutlier(event) },
      refused: (direction, refusal) => this.#onRefused(direction, refusal, listeners),
      countDetected: (direction, outcome) => listeners.detected(direction, outcome),
      countToken: (outcome) => options.series.counter("outrider_jwt_requests_total", { outcome }, "Requests that rules for tokens were asked about").add(1),
      keysMissing: options.keysMissing ?? (() => undefined),
      countTunnel: (answer) => listeners.tunnelAnswered(answer),
      defect: (where, cause) => defects.report(where, cause),
      gaveUp: new GaveUpRequests(),
    };
  }

  #onOutlier(event: OutlierEvent): void {
    const { kind, cluster, endpoint, reason } = event;
    this.#options.log.info("outlier detection", { kind, cluster, endpoint, reason });
    if (kind !== "kept") this.#options.outlier?.(event);
  }

  #onRefused(direction: "inbound" | "outbound", refusal: InboundRefusal, listeners: ListenerSeries): void {
    const isUnmatched = listeners.connectionRefused(direction, refusal.reason, refusal.wasOpen ?? false);
    if (isUnmatched) this.#accessLog.noFilterChain(direction, refusal.remote, refusal.local);
    this.#options.log.limited("warn", "connection refused", {
      direction, reason: refusal.reason, detail: refusal.message,
      peer: `${refusal.remote.address}:${refusal.remote.port}`, destination: `${refusal.local.address}:${refusal.local.port}`,
    });
  }

  #onListenerRefused(listener: string, remote: SocketAddress, reason: ListenerRefusal, listeners: ListenerSeries): void {
    listeners.refused(listener, reason);
    this.#options.log.limited("warn", "connection refused", { listener, reason, peer: `${remote.address}:${remote.port}` });
  }

  #scheduleSweep(): void {
    this.#options.timers.schedule(SWEEP_MS, () => {
      this.#options.series.sweep();
      this.#scheduleSweep();
    });
  }
}
