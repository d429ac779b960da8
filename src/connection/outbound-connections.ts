import type { Socket } from "node:net";
import type { OutboundListenerSpec, OutboundSpec, RouteSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import type { StreamRouting } from "../http/http-stream.ts";
import type { ConnectionFacts, SocketAddress } from "../message/connection-facts.ts";
import { normalizeAuthority } from "../message/authority.ts";
import type { RequestHead } from "../message/head.ts";
import { RouteTable } from "../router/route-table.ts";
import { FirstBytes, type FirstBytesParts } from "./first-bytes.ts";
import { sniff } from "./sniff.ts";
import type { TcpRequest } from "./tcp-proxy.ts";

/** How long the application may keep silent on a port whose protocol is not declared before it counts as opaque. */
const DETECT_TIMEOUT_MS = 10_000;

const PASSTHROUGH: readonly WeightedClusterSpec[] = [{ name: "PassthroughCluster", weight: 1 }];
const BLACK_HOLE: readonly WeightedClusterSpec[] = [{ name: "BlackHoleCluster", weight: 1 }];

/** Where a connection goes once its protocol is known. */
export interface OutboundNext {
  readonly http: (socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, routing: StreamRouting) => void;
  readonly opaque: (request: TcpRequest) => void;
}

/** What protocol detection came to, for metrics. */
export type DetectionOutcome = "http1" | "http2" | "opaque" | "timeout";
export type DetectionObserver = (outcome: DetectionOutcome) => void;

export interface OutboundConnectionsParts extends FirstBytesParts {
  readonly countDetected: DetectionObserver;
}

/**
 * Connections the application opened. The original destination selects a logical listener (`spec/02` 2.1): the exact
 * address first, then the port alone, then the catch-all. Its protocol says whether the first bytes are looked at.
 */
export class OutboundConnections {
  readonly #next: OutboundNext;
  readonly #parts: OutboundConnectionsParts;
  #listeners = new Map<string, OutboundListenerSpec>();
  #tables = new Map<string, RouteTable>();
  #catchAll: readonly WeightedClusterSpec[] = BLACK_HOLE;
  readonly #routings = new Map<string, StreamRouting>();

  constructor(next: OutboundNext, parts: OutboundConnectionsParts) {
    this.#next = next;
    this.#parts = parts;
  }

  apply(spec: OutboundSpec): void {
    this.#tables = new Map(spec.routeTables.map((table) => [table.name, new RouteTable(table)]));
    this.#listeners = new Map();
    for (const listener of spec.listeners) {
      if (listener.bind === null) this.#listeners.set(listenerKey(listener.address, listener.port), listener);
      else this.#listeners.set(listener.name, listener);
    }
    // Connections keep the object they have; what is gone from the configuration is not kept for new ones.
    for (const name of this.#routings.keys()) if (!this.#tables.has(name)) this.#routings.delete(name);
    this.#catchAll = spec.catchAll === "ALLOW_ANY" ? PASSTHROUGH : BLACK_HOLE;
  }

  /** A captured connection. */
  handleCaptured(socket: Socket, remote: SocketAddress, destination: SocketAddress): void {
    const listener = this.#listeners.get(listenerKey(destination.address, destination.port))
      ?? this.#listeners.get(listenerKey(null, destination.port));
    const facts: ConnectionFacts = { remote, local: destination, isCaptured: true, tls: null };
    this.#handle(socket, facts, listener ?? null, this.#catchAll);
  }

  /** A connection to a listener of its own, named `name`; nothing of it may be passed through to where it came from. */
  handleBound(socket: Socket, remote: SocketAddress, own: SocketAddress, name: string): void {
    const facts: ConnectionFacts = { remote, local: own, isCaptured: false, tls: null };
    this.#handle(socket, facts, this.#listeners.get(name) ?? null, BLACK_HOLE);
  }

  #handle(socket: Socket, facts: ConnectionFacts, listener: OutboundListenerSpec | null, catchAll: readonly WeightedClusterSpec[]): void {
    const opaque = (firstBytes: Buffer | null): void => {
      this.#next.opaque({ socket, firstBytes, facts, clusters: listener?.tcp ?? catchAll, service: null });
    };
    if (listener === null || listener.protocol === "tcp" || listener.routeTable === null) {
      opaque(null);
      return;
    }
    const routing = this.#routingOf(listener.routeTable);
    new FirstBytes(socket, {
      bytes: (bytes) => {
        const protocol = sniff(bytes);
        if (protocol === "incomplete") return false;
        const isHttp = protocol === "http1" || protocol === "http2";
        this.#parts.countDetected(isHttp ? protocol : "opaque");
        if (isHttp) this.#next.http(socket, bytes, facts, routing);
        else opaque(bytes);
        return true;
      },
      silent: (bytes, hasEnded) => {
        // Who ends without a whole request line does not speak HTTP, but may have been told what it waits for.
        this.#parts.countDetected(hasEnded ? "opaque" : "timeout");
        opaque(bytes);
      },
      closed: () => socket.destroy(),
    }, this.#parts, DETECT_TIMEOUT_MS);
  }

  #findRoute(tableName: string, head: RequestHead): RouteSpec | null {
    const authority = normalizeAuthority(head.authority);
    return authority === null ? null : (this.#tables.get(tableName)?.find(head, authority.host) ?? null);
  }

  /** One object per table name: it looks the table up anew for every request, so a new snapshot counts at once. */
  #routingOf(tableName: string): StreamRouting {
    let routing = this.#routings.get(tableName);
    if (routing === undefined) {
      routing = { service: null, findRoute: (head) => this.#findRoute(tableName, head) };
      this.#routings.set(tableName, routing);
    }
    return routing;
  }
}

/** For exact and wildcard listeners alike: `*:9080`, `10.0.0.1:3306`. */
function listenerKey(address: string | null, port: number): string {
  return address === null ? `*:${port}` : `${address}:${port}`;
}
