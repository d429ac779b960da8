import type { Socket } from "node:net";
import type { OutboundListenerSpec, OutboundSpec, WeightedClusterSpec } from "../config/snapshot.ts";
import type { StreamRouting } from "../http/http-stream.ts";
import type { ConnectionFacts, SocketAddress } from "../message/connection-facts.ts";
import { CLIENT_FIRST_DELAY_MS, DETECT_TIMEOUT_MS, type DetectionOutcome, type DetectionParts, speaksFirst } from "./detection.ts";
import type { EarlyDial, EarlyDialOptions } from "./early-dial.ts";
import { FirstBytes } from "./first-bytes.ts";
import { BLACK_HOLE, OutboundRoutes, tableOf } from "./outbound-routes.ts";
import type { PassedTls } from "./sni-routes.ts";
import { sniff } from "./sniff.ts";
import type { TcpRequest } from "./tcp-proxy.ts";

/** Where a connection goes once its protocol is known. */
export interface OutboundNext {
  readonly http: (socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, routing: StreamRouting) => void;
  readonly opaque: (request: TcpRequest) => void;
  readonly dialEarly: (request: TcpRequest, options: EarlyDialOptions) => EarlyDial;
}

/**
 * Connections the application opened. The original destination selects a logical listener (`spec/02` 2.1): the exact
 * address first, then the port alone, then the catch-all. Its protocol says whether the first bytes are looked at; where
 * none is declared the opaque upstream is dialled meanwhile, in case its server is the one who speaks first.
 */
export class OutboundConnections {
  readonly #next: OutboundNext;
  readonly #parts: DetectionParts;
  #routes = new OutboundRoutes({ listeners: [], routeTables: [], catchAll: "REGISTRY_ONLY" });
  readonly #routings = new Map<string, StreamRouting>();
  /** Names of listeners whose last connection was begun by the application. */
  readonly #clientFirst = new Set<string>();

  constructor(next: OutboundNext, parts: DetectionParts) {
    this.#next = next;
    this.#parts = parts;
  }

  apply(spec: OutboundSpec): void {
    this.#routes = new OutboundRoutes(spec, this.#routes);
    // Connections keep the object they have; what is gone from the configuration is not kept for new ones.
    for (const name of this.#routings.keys()) if (!this.#routes.hasTable(name)) this.#routings.delete(name);
    this.#clientFirst.clear();
  }

  /** A captured connection. */
  handleCaptured(socket: Socket, remote: SocketAddress, destination: SocketAddress): void {
    const facts: ConnectionFacts = { remote, local: destination, isCaptured: true, tls: null };
    this.#handle(socket, facts, this.#routes.captured(destination), this.#routes.catchAll);
  }

  /** A connection to a listener of its own, named `name`; nothing of it may be passed through to where it came from. */
  handleBound(socket: Socket, remote: SocketAddress, own: SocketAddress, name: string): void {
    const facts: ConnectionFacts = { remote, local: own, isCaptured: false, tls: null };
    this.#handle(socket, facts, this.#routes.bound(name), BLACK_HOLE);
  }

  #handle(socket: Socket, facts: ConnectionFacts, listener: OutboundListenerSpec | null, catchAll: readonly WeightedClusterSpec[]): void {
    const opaqueRoute = listener === null ? null : this.#routes.opaqueRoute(listener, facts.local.address);
    const clusters = opaqueRoute?.clusters ?? catchAll;
    const request: TcpRequest = { socket, firstBytes: null, facts, clusters, service: null };
    const sniRoutes = listener === null ? undefined : this.#routes.sniRoutes(listener, opaqueRoute);
    const table = tableOf(listener, opaqueRoute);
    if (listener === null || (table === null && sniRoutes === undefined)) {
      this.#next.opaque(request);
      return;
    }
    const routing = table === null ? null : this.#routingOf(table);
    const opaque = (firstBytes: Buffer, outcome: DetectionOutcome): void => {
      this.#count(listener, outcome);
      this.#next.opaque({ ...request, firstBytes, early });
    };
    const first = new FirstBytes(socket, {
      bytes: (bytes) => {
        const tls = sniRoutes === undefined ? "not-tls" : sniRoutes.inspect(bytes, facts.local.address);
        if (tls === "incomplete") {
          // Whoever has begun TLS is not waiting for a server's word: it must not decide before the name is known.
          early?.cancel();
          return false;
        }
        if (tls !== "not-tls") {
          this.#count(listener, "tls");
          this.#passTls({ ...request, firstBytes: bytes, early }, tls);
          return true;
        }
        const protocol = routing === null ? "other" : sniff(bytes);
        if (protocol === "incomplete") return false;
        if (routing !== null && (protocol === "http1" || protocol === "http2")) {
          this.#count(listener, protocol);
          early?.cancel();
          this.#next.http(socket, bytes, facts, routing);
        } else {
          opaque(bytes, protocol === "tls" ? "tls" : "opaque");
        }
        return true;
      },
      // Who ends without a whole request line does not speak HTTP, but may have been told what it waits for.
      silent: (bytes, hasEnded) => opaque(bytes, hasEnded ? "opaque" : "timeout"),
      closed: () => socket.destroy(),
    }, this.#parts, DETECT_TIMEOUT_MS);
    // Also beside TLS routes an opaque service of the port may speak first.
    const mayHearServer = clusters !== catchAll && (listener.protocol === "auto" || table === null);
    const early = !mayHearServer ? null : this.#next.dialEarly(request, {
      delayMs: this.#clientFirst.has(listener.name) ? CLIENT_FIRST_DELAY_MS : 0,
      graceMs: 0,
      isAllowed: () => true,
      onUpstreamSpoke: () => first.decide((bytes) => opaque(bytes, "server_first")),
    });
  }

  /** TLS goes where its server name leads, or, with a name nobody has, where opaque bytes go. */
  #passTls(request: TcpRequest, { serverName, route }: PassedTls): void {
    const facts = serverName === null ? request.facts : { ...request.facts, passthroughServerName: serverName };
    if (route === null) {
      this.#next.opaque({ ...request, facts });
      return;
    }
    request.early?.cancel();
    this.#next.opaque({ ...request, facts, early: null, clusters: route.clusters });
  }

  #count({ name }: OutboundListenerSpec, outcome: DetectionOutcome): void {
    this.#parts.countDetected("outbound", outcome);
    if (speaksFirst(outcome)) this.#clientFirst.add(name);
    else this.#clientFirst.delete(name);
  }

  /** One object per table name: it looks the table up anew for every request, so a new snapshot counts at once. */
  #routingOf(tableName: string): StreamRouting {
    let routing = this.#routings.get(tableName);
    if (routing === undefined) {
      routing = { service: null, findRoute: (head) => this.#routes.findRoute(tableName, head) };
      this.#routings.set(tableName, routing);
    }
    return routing;
  }
}
