import { readFileSync } from "node:fs";
import { type AdminAccess, type AdminPorts, AdminServers } from "./admin/admin-servers.ts";
import type { WorkloadIdentity } from "./config/compile/workload-identity.ts";
import { CircuitBreakerMetrics } from "./control/circuit-breaker-metrics.ts";
import { ConfigurationControl } from "./control/configuration-control.ts";
import { DataThreads } from "./control/data-threads.ts";
import { HealthControl } from "./control/health-control.ts";
import { awaitedCertificates, IdentityControl, type IdentitySettings } from "./control/identity-control.ts";
import { FetchGuard } from "./control/fetch-guard.ts";
import { keyFetcher } from "./control/key-fetch.ts";
import { KeySets } from "./control/key-sets.ts";
import { ProcessState } from "./control/process-state.ts";
import { SavedKeys } from "./control/saved-keys.ts";
import { SavedTrustBundles } from "./control/saved-trust-bundles.ts";
import { bundleFetcher } from "./control/trust-bundle-fetch.ts";
import { systemClock } from "./core/clock.ts";
import { systemRandom } from "./core/random.ts";
import { parseResolvConf } from "./core/resolv-conf.ts";
import { TimerWheel } from "./core/timer-wheel.ts";
import type { CapturePorts } from "./data-plane.ts";
import type { DnsProxy } from "./dns/dns-proxy.ts";
import type { Snapshot } from "./config/snapshot.ts";
import { Drain } from "./lifecycle/drain.ts";
import { Readiness, type ReadinessToken } from "./lifecycle/readiness.ts";
import { ConfigMetrics } from "./telemetry/config-metrics.ts";
import { DefectReports } from "./telemetry/defect-reports.ts";
import { Logger } from "./telemetry/log.ts";
import { stdoutLogOutput } from "./telemetry/log-output.ts";
import type { LogFormat, LogLevel } from "./telemetry/log-record.ts";
import { SeriesReader } from "./telemetry/series-reader.ts";
import { SeriesWriter } from "./telemetry/series-writer.ts";
import { ServerMetrics } from "./telemetry/server-metrics.ts";
import { ThreadMetrics } from "./telemetry/thread-metrics.ts";

/** How the proxy is run; `cli/proxy.ts` reads it from flags and environment. */
export interface ProxyOptions {
  readonly version: string;
  readonly workload: WorkloadIdentity;
  /** Folders and files. */
  readonly configPaths: readonly string[];
  /** Folder of certificates that the configuration names by relative paths. */
  readonly certificateDirectory: string;
  readonly identity: IdentitySettings;
  /** Where the last good configuration is kept; null: nowhere. */
  readonly stateDirectory: string | null;
  readonly concurrency: number;
  readonly bindAddress: string;
  readonly capturePorts: CapturePorts;
  readonly adminPorts: AdminPorts;
  readonly adminAccess: AdminAccess;
  /** Address blocks that keys of issuers may be fetched from though they are this host's, or its link's. */
  readonly keysAllowedFrom: readonly string[];
  /** Where captured DNS queries are answered; null: nowhere. */
  readonly dnsPort: number | null;
  /** Connections are closed when the peer's certificate ends. */
  readonly closeExpired: boolean;
  readonly drainSeconds: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** Connections open at the same time in one direction of one thread. */
const MAX_CONNECTIONS = 10_000;
/** After SIGTERM new connections are served at least this long: it takes a while until nobody sends them. */
const MINIMUM_DRAIN_MS = 500;
const CAPTURE_LISTENERS = "capture listeners";
/** When nothing is under way, requests that came in at that very moment are still answered for so long. */
const STOP_GRACE_MS = 1_000;

/**
 * Runs the sidecar until it is told to end; resolves to the exit code. Rejects when it could not start, with a
 * sentence for the operator.
 */
export function runProxy(options: ProxyOptions): Promise<number> {
  return new ControlThread(options).run();
}

/**
 * Composition root of the control thread: it reads and checks everything, tells the data threads, and answers
 * operators. It may stall without traffic noticing.
 */
class ControlThread {
  readonly #options: ProxyOptions;
  readonly #startedAtMs = systemClock.monotonicMs();
  readonly #timers = new TimerWheel(systemClock);
  readonly #output = stdoutLogOutput(process.stdout);
  readonly #log: Logger;
  readonly #reader = new SeriesReader();
  readonly #readiness = new Readiness(() => this.#onReady());
  readonly #startUp: Readonly<Record<"configuration" | "certificates", ReadinessToken>>;
  /** Held while no data thread listens. */
  #awaitedListeners: ReadinessToken | null;
  /** Held while our certificate is not valid by the clock. */
  #invalidCertificate: ReadinessToken | null = null;
  readonly #threads: DataThreads;
  readonly #configuration: ConfigurationControl;
  readonly #health: HealthControl;
  readonly #identity: IdentityControl;
  readonly #drain: Drain;
  readonly #state: ProcessState;
  readonly #admin: AdminServers;
  /** This thread's own metrics. */
  readonly #metrics = new SeriesWriter((batch) => this.#reader.accept("control", batch));
  readonly #defects: DefectReports;
  readonly #keys: KeySets;
  #stopGraceMs = 0;
  #dns: DnsProxy | null = null;
  #ports: Partial<AdminPorts & CapturePorts & { readonly dns: number }> = {};
  #end: { resolve(code: number): void; reject(error: Error): void } = { resolve: () => undefined, reject: () => undefined };

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#log = new Logger(this.#output, systemClock, this.#timers, { level: options.logLevel, format: options.logFormat });
    this.#startUp = {
      configuration: this.#readiness.register("configuration"),
      certificates: this.#readiness.register(awaitedCertificates(options.identity)),
    };
    this.#awaitedListeners = this.#readiness.register(CAPTURE_LISTENERS);
    this.#defects = new DefectReports(this.#metrics, this.#log);
    this.#keys = this.#makeKeys();
    this.#threads = this.#makeThreads();
    this.#configuration = new ConfigurationControl({
      paths: options.configPaths, workload: options.workload, dnsCapture: options.dnsPort !== null, certificateDirectory: options.certificateDirectory,
      clock: systemClock, timers: this.#timers, log: this.#log,
      state: options.stateDirectory === null ? null : { directory: options.stateDirectory, version: options.version },
    }, (snapshot) => {
      this.#fetchKeys(snapshot);
      this.#threads.applySnapshot(snapshot);
      this.#health.apply(snapshot);
      // Last: policies go before those whom they judge, and a domain that is new brings the next snapshot within this call.
      this.#useTrust(snapshot);
    });
    this.#health = new HealthControl({
      clock: systemClock, timers: this.#timers, random: systemRandom, log: this.#log, metrics: this.#metrics,
      publish: (cluster, failing) => this.#threads.applyHealth(cluster, failing),
    });
    this.#identity = this.#makeIdentity();
    this.#drain = new Drain(this.#timers, {
      draining: () => this.#onDraining(),
      terminated: (isClean) => this.#onTerminated(isClean),
    }, { deadlineMs: options.drainSeconds * 1000, minimumMs: Math.min(MINIMUM_DRAIN_MS, options.drainSeconds * 1000) });
    this.#state = new ProcessState({
      version: options.version, concurrency: options.concurrency, workload: options.workload, clock: systemClock, startedAtMs: this.#startedAtMs, log: this.#log,
      readiness: this.#readiness, drain: this.#drain, series: this.#reader, threads: this.#threads,
      configuration: this.#configuration, identity: this.#identity, keys: this.#keys,
    });
    this.#admin = new AdminServers(this.#state.sources(), options.adminAccess);
    this.#registerMetrics();
  }

  async run(): Promise<number> {
    const ended = new Promise<number>((resolve, reject) => {
      this.#end = { resolve, reject };
    });
    // Who fails before anybody waits must not count as unhandled.
    ended.catch(() => undefined);
    this.#listenToSignals();
    process.on("uncaughtException", (error) => this.#defects.report("control", error));
    try {
      const operators = await this.#admin.listen(this.#options.adminPorts);
      this.#ports = operators;
      if (this.#options.dnsPort !== null) this.#ports = { ...this.#ports, dns: await this.#listenForDns(this.#options.dnsPort) };
      this.#threads.start(this.#options.concurrency, [operators.admin, operators.status]);
      this.#identity.start();
      this.#configuration.start();
      return await ended;
    } finally {
      this.#configuration.stop();
      await this.#configuration.settled();
      this.#identity.stop();
      await this.#identity.settled();
      this.#keys.stop();
      await this.#keys.settled();
      this.#health.stop();
      await this.#threads.stop(this.#stopGraceMs);
      await this.#dns?.close();
      await this.#admin.close();
    }
  }

  #makeKeys(): KeySets {
    const { keysAllowedFrom, stateDirectory } = this.#options;
    return new KeySets({
      clock: systemClock, timers: this.#timers, log: this.#log,
      saved: stateDirectory === null ? null : new SavedKeys({ directory: stateDirectory, clock: systemClock, log: this.#log }),
      fetch: keyFetcher({ guard: new FetchGuard(keysAllowedFrom), timers: this.#timers }),
      publish: (keys) => this.#threads.applyKeys(keys),
      counted: (isSuccess) => this.#metrics.counter("outrider_jwks_fetches_total", { outcome: isSuccess ? "success" : "failure" }, "Key sets of token issuers that were fetched").add(1),
    });
  }

  /** At the start, traffic waits until the keys of every issuer were tried once: before that all their tokens are refused. */
  #fetchKeys({ inbound }: Snapshot): void {
    const awaited = this.#readiness.isReady ? null : this.#readiness.register("keys of token issuers");
    this.#keys.use(inbound.jwtRules ?? [], () => awaited?.drop());
  }

  /** At the start, traffic waits until every trust bundle was tried once: before that its trust domain is not believed. */
  #useTrust({ trustSources = [] }: Snapshot): void {
    const awaited = this.#readiness.isReady || trustSources.length === 0 ? null : this.#readiness.register("trust bundles");
    this.#identity.useTrustSources(trustSources, () => awaited?.drop());
  }

  #makeThreads(): DataThreads {
    const options = this.#options;
    const start = {
      listen: {
        address: options.bindAddress, outboundPort: options.capturePorts.outbound, inboundPort: options.capturePorts.inbound,
        hbonePort: options.capturePorts.hbone, reusePort: options.concurrency > 1, maxConnections: MAX_CONNECTIONS,
      },
      closeExpired: options.closeExpired,
      logLevel: options.logLevel,
      logFormat: options.logFormat,
    };
    return new DataThreads(start, {
      listening: (ports) => {
        this.#ports = { ...this.#ports, ...ports };
        this.#awaitedListeners?.drop();
        this.#awaitedListeners = null;
      },
      applied: (version, problems) => {
        this.#configuration.applied(version, problems);
        this.#useNames(version);
        this.#startUp.configuration.drop();
      },
      series: (thread, batch) => this.#reader.accept(`data-${thread}`, batch),
      died: (thread, reason) => this.#onThreadDied(thread, reason),
      failed: (message) => this.#onThreadFailed(message),
      log: (line) => this.#output.write(line),
      keysMissing: (source) => this.#keys.missing(source),
      inFlight: (total) => this.#drain.setInFlight(total),
    }, this.#timers, systemClock);
  }

  async #listenForDns(port: number): Promise<number> {
    // Most pods do without, and without its memory.
    const dns = await import("./dns/dns-proxy.ts");
    this.#dns = new dns.DnsProxy({
      port, resolvConf: parseResolvConf(readResolvConf()), ownAddresses: this.#options.workload.addresses,
      clock: systemClock, timers: this.#timers, random: systemRandom, log: this.#log, metrics: this.#metrics,
    });
    return this.#dns.listen();
  }

  /** Names go out once connections to their addresses are routed: when the snapshot they belong to is obeyed. */
  #useNames(version: number): void {
    const { names, snapshot } = this.#configuration;
    if (names !== null && snapshot?.version === version) this.#dns?.use(names);
  }

  #makeIdentity(): IdentityControl {
    const { keysAllowedFrom, stateDirectory } = this.#options;
    return new IdentityControl({
      settings: this.#options.identity,
      clock: systemClock, timers: this.#timers, random: systemRandom, log: this.#log, metrics: this.#metrics, scrapes: this.#reader,
      fetchBundle: bundleFetcher({ guard: new FetchGuard(keysAllowedFrom), timers: this.#timers }),
      savedBundles: stateDirectory === null ? null : new SavedTrustBundles({ directory: stateDirectory, clock: systemClock, log: this.#log }),
      onInvalid: (reason) => this.#onCertificate(reason),
      onMaterial: (material) => {
        // Policies first: who is believed from now on is judged by them.
        this.#configuration.useTrustDomain(material.trustDomain, material.bundles.slice(1).map(({ trustDomain }) => trustDomain));
        this.#threads.applyIdentity(material);
        this.#health.applyIdentity(material);
        this.#startUp.certificates.drop();
      },
    });
  }

  /** A workload that every peer refuses had better not be sent any; `reason` null: it has a certificate again. */
  #onCertificate(reason: string | null): void {
    this.#invalidCertificate?.drop();
    this.#invalidCertificate = reason === null ? null : this.#readiness.register(reason);
  }

  /** As long as nobody listens, traffic had better not come. */
  #onThreadDied(thread: number, reason: string): void {
    this.#reader.detach(`data-${thread}`);
    this.#metrics.counter("outrider_data_thread_deaths_total", {}, "Data threads that ended and were replaced").add(1);
    this.#log.error("data thread died and is replaced", { thread, reason });
    if (this.#threads.listeningCount === 0) this.#awaitedListeners ??= this.#readiness.register(CAPTURE_LISTENERS);
  }

  /** Before the first listener stands this is a failed start; afterwards what served serves on. */
  #onThreadFailed(message: string): void {
    if (this.#ports.inbound === undefined) this.#end.reject(new Error(message));
    else this.#log.error("data thread failed to obey", { reason: message });
  }

  #onReady(): void {
    const { outbound, inbound, admin, status, ready, metrics, dns, hbone } = this.#ports;
    const ms = Math.round(this.#state.uptimeMs);
    this.#output.write(JSON.stringify({ msg: "ready", pid: process.pid, ports: { outbound, inbound, admin, status, ready, metrics, dns, hbone: hbone ?? undefined }, ms }));
  }

  #listenToSignals(): void {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        this.#log.info("asked to end", { signal });
        this.#drain.request();
      });
    }
    process.on("SIGHUP", () => {
      this.#configuration.reload();
      this.#identity.reload();
    });
    // Node would open its debugger for whoever may send this signal.
    process.on("SIGUSR1", () => undefined);
  }

  #onDraining(): void {
    this.#readiness.startDraining();
    this.#threads.drain();
  }

  #onTerminated(isClean: boolean): void {
    this.#log.info("ended", { clean: isClean });
    if (isClean) this.#stopGraceMs = STOP_GRACE_MS;
    this.#end.resolve(0);
  }

  #registerMetrics(): void {
    const writer = this.#metrics;
    const { version, concurrency } = this.#options;
    new ServerMetrics(this.#reader, writer, {
      version,
      concurrency,
      state: () => this.#state.phase,
      certificateExpiries: () => this.#identity.expiries(),
      droppedLogLines: () => this.#output.dropped,
    }, systemClock);
    new ConfigMetrics(this.#reader, writer, () => this.#configuration.facts(), systemClock);
    new CircuitBreakerMetrics(this.#reader, writer, () => this.#threads.limits);
    new ThreadMetrics(writer, "control", this.#timers);
  }
}

/** Read once: the kubelet writes it before the first container starts. Without it only names of the mesh are resolved. */
function readResolvConf(): string {
  try {
    return readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return "";
  }
}
