import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import type { Random } from "../core/random.ts";
import { GradualVisit } from "../core/gradual-visit.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { Acquisition, Cluster } from "../cluster/cluster.ts";
import type { TcpReceiver } from "../cluster/tcp-dial.ts";
import type { WeightedClusterSpec } from "../config/snapshot.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { type Direction, type ServiceRef, TcpInfo, type TcpObserver } from "../message/stream-info.ts";
import { chooseCluster } from "../router/route-match.ts";
import { connectOpaque } from "./connect-opaque.ts";
import { EarlyDial, type EarlyDialOptions } from "./early-dial.ts";
import { type OpenConnection, TcpConnection } from "./tcp-connection.ts";

export interface TcpProxyParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly observers: readonly TcpObserver[];
  readonly defect: DefectObserver;
}

/** What an opaque connection is and where it may go. */
export interface TcpRequest {
  /** Paused; whoever read from it before has let go of it. */
  readonly socket: Socket;
  /** Bytes already read from it. */
  readonly firstBytes: Buffer | null;
  readonly facts: ConnectionFacts;
  /** One cluster is drawn by weight. */
  readonly clusters: readonly WeightedClusterSpec[];
  readonly service: ServiceRef | null;
  /** What was dialled for it already; its cluster is the one. */
  readonly early?: EarlyDial | null;
}

/** Opaque connections of one direction: draws a cluster for each and carries it there. */
export class TcpProxy {
  readonly #direction: Direction;
  readonly #cluster: (name: string) => Cluster | undefined;
  readonly #parts: TcpProxyParts;
  readonly #active = new Set<TcpConnection>();
  readonly #recheck: GradualVisit<TcpConnection>;

  constructor(direction: Direction, cluster: (name: string) => Cluster | undefined, parts: TcpProxyParts) {
    this.#direction = direction;
    this.#cluster = cluster;
    this.#parts = parts;
    this.#recheck = new GradualVisit(parts.clock);
  }

  /** Opaque connections open now. */
  get activeCount(): number {
    return this.#active.size;
  }

  /**
   * Asks about every open connection whether it may go on, and closes those that may not: `denied` gives the reason, or
   * null, or closes it later. A few at once, the rest in the next turns of the event loop; a further call begins anew.
   */
  recheck(denied: (connection: OpenConnection) => string | null): void {
    this.#recheck.begin(this.#active, (connection) => {
      const reason = connection.isOver ? null : denied(connection);
      if (reason !== null) connection.close(reason);
    });
  }

  /** Dials for a connection of which it is not known yet whether it is opaque. */
  dialEarly({ socket, facts, clusters }: TcpRequest, options: EarlyDialOptions): EarlyDial {
    const { name } = chooseCluster(clusters, this.#parts.random);
    const connect = (receiver: TcpReceiver): Acquisition | null => {
      const cluster = this.#cluster(name);
      return cluster === undefined ? null : connectOpaque(cluster, facts, receiver);
    };
    return new EarlyDial(socket, name, connect, options, this.#parts);
  }

  /** Forwards a connection to its end. It is closed without a byte when no upstream can be had. */
  forward(request: TcpRequest): void {
    const info = new TcpInfo(this.#direction, request.facts, this.#parts.clock.monotonicMs());
    const { early = null } = request;
    info.clusterName = early?.clusterName ?? chooseCluster(request.clusters, this.#parts.random).name;
    const cluster = this.#cluster(info.clusterName);
    info.service = request.service ?? cluster?.spec.service ?? null;
    const connection = new TcpConnection(request.socket, request.firstBytes, info, this.#parts, (over) => this.#active.delete(over));
    this.#active.add(connection);
    connection.start(cluster, early);
  }
}
