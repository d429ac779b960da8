import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { Cluster } from "../cluster/cluster.ts";
import type { TcpLease } from "../cluster/tcp-lease.ts";
import type { WeightedClusterSpec } from "../config/snapshot.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { type Direction, type ServiceRef, TcpInfo, type TcpObserver } from "../message/stream-info.ts";
import { chooseCluster } from "../router/route-match.ts";
import { Splice } from "./splice.ts";

/** ALPN a mesh client offers for opaque bytes. `istio-peer-exchange` would promise a preamble we do not send. */
const TCP_ALPN: readonly string[] = ["istio"];
/** How often a long connection's byte counts are reported (`spec/06` 6.1). */
const PROGRESS_MS = 5_000;

export interface TcpProxyParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly observers: readonly TcpObserver[];
}

/** What an opaque connection is and where it may go. */
export interface TcpRequest {
  readonly socket: Socket;
  /** Bytes already read from it. */
  readonly firstBytes: Buffer | null;
  readonly facts: ConnectionFacts;
  /** One cluster is drawn by weight. */
  readonly clusters: readonly WeightedClusterSpec[];
  readonly service: ServiceRef | null;
}

/** Opaque connections of one direction: picks a cluster and an endpoint, dials it, joins the two sockets. */
export class TcpProxy {
  readonly #direction: Direction;
  readonly #cluster: (name: string) => Cluster | undefined;
  readonly #parts: TcpProxyParts;
  readonly #active = new Set<Socket>();

  constructor(direction: Direction, cluster: (name: string) => Cluster | undefined, parts: TcpProxyParts) {
    this.#direction = direction;
    this.#cluster = cluster;
    this.#parts = parts;
  }

  /** Opaque connections open now. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** Forwards a connection to its end. It is closed without a byte when no upstream can be had. */
  forward(request: TcpRequest): void {
    const { socket, facts } = request;
    const info = new TcpInfo(this.#direction, facts, this.#parts.clock.monotonicMs());
    info.service = request.service;
    this.#active.add(socket);
    for (const observer of this.#parts.observers) observer.opened(info);
    info.clusterName = chooseCluster(request.clusters, this.#parts.random).name;
    const cluster = this.#cluster(info.clusterName);
    if (cluster === undefined) {
      this.#fail(socket, info, new ProxyError("cluster_not_found", info.clusterName));
      return;
    }
    info.service ??= cluster.spec.service;
    const abandon = (): void => {
      dialing.cancel();
      info.details = "downstream_remote_disconnect";
      this.#close(socket, info, "DC");
    };
    const dialing = cluster.connectTcp({ originalDestination: facts.isCaptured ? facts.local : null, alpn: TCP_ALPN }, {
      connected: (upstream, lease) => {
        socket.off("close", abandon);
        this.#join(request, upstream, lease, info);
      },
      failed: (error) => {
        socket.off("close", abandon);
        this.#fail(socket, info, error);
      },
    });
    socket.once("close", abandon);
    if (!this.#active.has(socket)) socket.off("close", abandon);
  }

  #join(request: TcpRequest, upstream: Socket, lease: TcpLease, info: TcpInfo): void {
    info.upstreamHost = lease.endpoint.name;
    info.upstreamPrincipal = lease.peerSpiffeId;
    info.peer = this.#direction === "outbound" ? lease.endpoint.spec.labels : info.peer;
    let progress = this.#parts.timers.schedule(PROGRESS_MS, report);
    const observers = this.#parts.observers;
    const timers = this.#parts.timers;
    function report(): void {
      for (const observer of observers) observer.progressed(info);
      progress = timers.schedule(PROGRESS_MS, report);
    }
    const splice = new Splice(request.socket, upstream, info, (cutBy) => {
      progress.cancel();
      lease.release();
      info.details = cutBy === null ? "" : cutBy === "downstream" ? "downstream_remote_disconnect" : "upstream_remote_disconnect";
      this.#close(request.socket, info, cutBy === "downstream" ? "DC" : cutBy === "upstream" ? "UC" : "-");
    });
    splice.start(request.firstBytes);
  }

  #fail(socket: Socket, info: TcpInfo, error: ProxyError): void {
    info.details = error.message;
    // Nothing was said to the downstream yet, so a reset tells it more than an empty close would.
    socket.resetAndDestroy();
    this.#close(socket, info, error.attributes.flag);
  }

  #close(socket: Socket, info: TcpInfo, flag: string): void {
    if (!this.#active.delete(socket)) return;
    info.flags = flag;
    for (const observer of this.#parts.observers) observer.closed(info, this.#parts.clock.monotonicMs());
  }
}
