import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

import { compile } from "../../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../../src/config/compile/workload-identity.ts";
import { formatProblem } from "../../src/config/problem.ts";
import type { Snapshot } from "../../src/config/snapshot.ts";
import { shareUnchanged } from "../../src/config/snapshot-delta.ts";
import { parseFile } from "../../src/config/source/parse-file.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { type Random, systemRandom } from "../../src/core/random.ts";
import { TimerWheel } from "../../src/core/timer-wheel.ts";
import { type CapturePorts, DataPlane } from "../../src/data-plane.ts";
import { DevelopmentCa, type IssuedCertificate } from "../../src/identity/development-ca.ts";
import type { TrustBundle } from "../../src/identity/identity-material.ts";
import { loadMaterial } from "../../src/identity/load-material.ts";
import type { SocketAddress } from "../../src/message/connection-facts.ts";
import { exposition } from "../../src/telemetry/exposition.ts";
import { Logger } from "../../src/telemetry/log.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../src/telemetry/series-writer.ts";
import type { AddressLookup } from "../../src/upstream/address-lookup.ts";

/** One authority for all proxies of a test file, so that they trust each other. */
export const testCa = DevelopmentCa.create("cluster.local", systemClock);

export interface ProxyUnderTestOptions {
  /** Istio and Kubernetes resources. */
  readonly yaml: string;
  readonly workload?: Partial<WorkloadIdentity>;
  /** Null: the proxy has no certificate. Default: `spiffe://cluster.local/ns/<ns>/sa/<account>`. */
  readonly spiffeId?: string | null;
  readonly clock?: Clock;
  readonly timers?: TimerWheel;
  readonly random?: Random;
  /** How endpoints that are names are looked up; default: as the host does. */
  readonly names?: { readonly lookup: AddressLookup; readonly minTtlMs: number };
  /** Connections are closed when the peer's certificate ends; default: they go on. */
  readonly closeExpired?: boolean;
}

/**
 * A whole data plane in this process: real sockets, the original destination given by the test instead of by the
 * kernel. Everything it logs is kept.
 */
export class ProxyUnderTest {
  readonly logLines: string[] = [];
  readonly accessLog: Record<string, unknown>[] = [];
  /** Where a captured connection was going that none of the methods below opened. */
  destination: SocketAddress = { address: "127.0.0.1", port: 1 };
  /** By the loopback address a connection comes from, so that many may be opened at once. */
  readonly #destinations = new Map<string, SocketAddress>();
  readonly #workload: WorkloadIdentity;
  readonly #plane: DataPlane;
  readonly #reader = new SeriesReader();
  #ports: CapturePorts = { outbound: 0, inbound: 0, hbone: null };
  #version = 1;
  #snapshot: Snapshot | null = null;
  #generation = 0;

  private constructor(options: ProxyUnderTestOptions) {
    this.#workload = {
      podName: "test-1", namespace: "default", serviceAccount: "test", addresses: ["127.0.0.1"], labels: { app: "test" }, trustDomain: null,
      ...options.workload,
    };
    const clock = options.clock ?? systemClock;
    const timers = options.timers ?? new TimerWheel(clock);
    this.#plane = new DataPlane({
      clock,
      timers,
      random: options.random ?? systemRandom,
      originalDestination: (socket) => this.#destinations.get(socket.remoteAddress ?? "") ?? this.destination,
      log: new Logger({ write: (line) => this.logLines.push(line) }, clock, timers, { level: "debug" }),
      accessLog: { write: (line) => this.accessLog.push(JSON.parse(line) as Record<string, unknown>) },
      series: new SeriesWriter((batch) => this.#reader.accept("data-0", batch)),
      ...(options.names === undefined ? {} : { names: options.names }),
      closeExpired: options.closeExpired ?? false,
      listen: { address: "127.0.0.1", outboundPort: 0, inboundPort: 0, hbonePort: 0, reusePort: false, maxConnections: 1000 },
    }, this.compile(options.yaml));
  }

  static async start(options: ProxyUnderTestOptions): Promise<ProxyUnderTest> {
    const proxy = new ProxyUnderTest(options);
    const { namespace, serviceAccount } = proxy.#workload;
    const spiffeId = options.spiffeId === undefined ? `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}` : options.spiffeId;
    if (spiffeId !== null) proxy.useIdentity(spiffeId);
    await proxy.apply(options.yaml);
    proxy.#ports = await proxy.#plane.listen();
    return proxy;
  }

  get outboundPort(): number {
    return this.#ports.outbound;
  }

  get inboundPort(): number {
    return this.#ports.inbound;
  }

  get hbonePort(): number {
    return this.#ports.hbone ?? 0;
  }

  /** Compiles resources for this workload; an object that is refused fails the test. */
  compile(yaml: string): Snapshot {
    const { parsed } = parseFile("test.yaml", Buffer.from(yaml));
    const refused = [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)].filter((problem) => problem.severity === "error");
    if (refused.length > 0) throw new Error(refused.map(formatProblem).join("\n"));
    const resources = parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource]));
    // The access log is what tests look at, whatever the mesh says.
    return { ...compile({ resources, workload: this.#workload, version: this.#version }).snapshot, accessLog: true };
  }

  /** A new configuration comes into force; every socket it asks for must be had. */
  async apply(yaml: string): Promise<void> {
    const problems = await this.tryApply(yaml);
    if (problems.length > 0) throw new Error(problems.join("\n"));
  }

  /** A new configuration comes into force. Gives a line for each socket that could not be bound. */
  tryApply(yaml: string): Promise<string[]> {
    this.#version++;
    const next = this.compile(yaml);
    // As the control thread does it: what has not changed stays the object it was.
    this.#snapshot = this.#snapshot === null ? next : shareUnchanged(this.#snapshot, next);
    return this.#plane.apply(this.#snapshot);
  }

  /** A new certificate comes into force; `roots` are those of the own trust domain, `federated` of others, that are believed from now on. */
  useIdentity(spiffeId: string, ca = testCa, roots = ca.rootPem, federated: readonly TrustBundle[] = []): void {
    this.useIssued(ca.issue(spiffeId), roots, federated);
  }

  /** As `useIdentity`, with a certificate as the test wants it. */
  useIssued(issued: IssuedCertificate, roots = issued.rootPem, federated: readonly TrustBundle[] = []): void {
    this.#generation++;
    const material = loadMaterial(
      { certificateChain: issued.certificateChainPem, privateKey: issued.privateKeyPem, roots, federated },
      this.#generation, systemClock.wallMs());
    if ("file" in material) throw new Error(`${material.file}: ${material.reason}`);
    this.#plane.applyIdentity(material);
  }

  /** A connection as the application would open it to `destination`. */
  connectOutbound(destination: SocketAddress): Socket {
    return this.#connect(this.outboundPort, destination);
  }

  /** A connection as it would arrive for the application's `port`. */
  connectInbound(port: number): Socket {
    return this.#connect(this.inboundPort, { address: "127.0.0.1", port });
  }

  /** Each destination has a source address of its own, by which the data plane asks for it. */
  #connect(port: number, destination: SocketAddress): Socket {
    let source = [...this.#destinations].find(([, known]) => known.address === destination.address && known.port === destination.port)?.[0];
    if (source === undefined) {
      source = `127.77.${this.#destinations.size >> 7}.${1 + (this.#destinations.size & 127)}`;
      this.#destinations.set(source, destination);
    }
    return connect({ host: "127.0.0.1", port, localAddress: source, allowHalfOpen: true });
  }

  /** Streams and opaque connections under way. */
  activeCount(): number {
    return this.#plane.activeCount();
  }

  drain(): void {
    this.#plane.drain();
  }

  /** Why something was denied, by the id that it was told. */
  denial(id: string): ReturnType<DataPlane["authorizationState"]>["denial"] {
    return this.#plane.authorizationState(id).denial;
  }

  dryRuns(): ReturnType<DataPlane["authorizationState"]>["dryRuns"] {
    return this.#plane.authorizationState(null).dryRuns;
  }

  clusters(): ReturnType<DataPlane["clusterState"]> {
    return this.#plane.clusterState();
  }

  /** Everything Prometheus would see. */
  metrics(): Promise<string> {
    return exposition(this.#reader);
  }

  stop(): void {
    this.#plane.destroy();
  }
}

/** A TCP server on a free port of loopback that hands every connection to `serve`; for upstreams that misbehave. */
export async function rawServer(serve: (socket: Socket) => void, host = "127.0.0.1"): Promise<{ readonly port: number; readonly server: Server; close(): void }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => open.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

/** Sends bytes and resolves with everything that came back until the other side closed, or until `until` is satisfied. */
export function exchange(socket: Socket, bytes: string | Buffer, until: (received: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (until(received)) {
        resolve(received);
        socket.destroy();
      }
    });
    socket.on("end", () => {
      resolve(received);
      socket.destroy();
    });
    socket.on("close", () => resolve(received));
    // A reset is an answer too: what came before it is what was received.
    socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" || error.code === "EPIPE" ? resolve(received) : reject(error)));
    socket.write(bytes, "latin1");
  });
}

/** The status of an HTTP/1 answer; 0 when there was none. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}

/** Resolves once `condition` holds; asked every few milliseconds, for what tells of itself in no other way. */
export async function eventually(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}
