import type { Socket } from "node:net";
import { DEFAULT_HTTP2_LIMITS } from "../codec/http2-limits.ts";
import { HOP_HTTP2_SESSION_OPTIONS, type Http2SessionOptions } from "../codec/http2-session-options.ts";
import type { Clock } from "../core/clock.ts";
import type { DefectObserver } from "../core/defect.ts";
import { GradualVisit } from "../core/gradual-visit.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import { DismissedConnections } from "../http/dismissed-connections.ts";
import { Http2Server } from "../http/http2-server.ts";
import type { ConnectionFacts, SocketAddress, TlsFacts } from "../message/connection-facts.ts";
import { type RequestHead, ResponseHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { DownstreamStream, HttpHandler, RequestReceiver } from "../message/stream.ts";
import { parseBaggage } from "../telemetry/baggage.ts";
import { type ClientHello, inspectClientHello } from "./client-hello.ts";
import { FirstBytes } from "./first-bytes.ts";
import type { Dismissal } from "./inbound-admission.ts";
import type { InboundRefusal } from "./inbound-refusal.ts";
import { tunnelDestination } from "./tunnel-request.ts";
import { type TunnelAnswer, TunnelSocket } from "./tunnel-socket.ts";

/** The same for all that arrives under mTLS. */
const HELLO_TIMEOUT_MS = 10_000;

/**
 * The peer is a proxy that has proved who it is and carries what many clients send, so it gets the room of one of us:
 * one of them that gives up a lot must not cost the others their tunnels.
 */
const SESSION: Http2SessionOptions = {
  ...HOP_HTTP2_SESSION_OPTIONS, limits: DEFAULT_HTTP2_LIMITS, maxStreams: 256, isHop: false, allowsConnect: true,
};

export interface HboneParts {
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly defect: DefectObserver;
  /** How a tunnel, or the CONNECT for one, ended up. */
  readonly countTunnel: (answer: TunnelAnswer) => void;
}

/** Where tunnels go. */
export interface HboneNext {
  /** Mutual TLS that takes nothing but `h2`. */
  readonly terminateTls: (socket: Socket, hello: ClientHello,
    done: (refusal: { reason: string; message: string } | null, socket: Socket | null, tls: TlsFacts | null) => void) => void;
  /** Why a peer that has proved who it is may not go on all the same: what it was let in by has changed meanwhile. */
  readonly dismissal: (facts: ConnectionFacts) => Dismissal | null;
  /** Serves what comes out of a tunnel as a connection; the socket is paused. */
  readonly serve: (socket: Socket, facts: ConnectionFacts) => void;
  readonly refused: (refusal: InboundRefusal) => void;
}

/** What tunnels may lead to. */
export interface HboneDestinations {
  readonly addresses: readonly string[];
  /** What the proxy itself listens on. */
  readonly ownPorts: () => readonly number[];
}

/**
 * Connections of ambient peers (`spec/02` 2.9): HTTP/2 over mTLS, STRICT whatever PeerAuthentication says, each stream a
 * CONNECT to one of our ports. What is in a tunnel is served as if it had come to that port in plaintext from the peer
 * whose certificate the tunnel has.
 */
export class HboneConnections {
  readonly #next: HboneNext;
  readonly #parts: HboneParts;
  readonly #open = new Set<HboneConnection>();
  /** Those of them that get no further tunnel. */
  readonly #dismissed: DismissedConnections<HboneConnection>;
  readonly #recheck: GradualVisit<HboneConnection>;
  readonly #drainSome: GradualVisit<HboneConnection>;
  #destinations: HboneDestinations = { addresses: [], ownPorts: () => [] };
  #isDraining = false;

  constructor(next: HboneNext, parts: HboneParts) {
    this.#next = next;
    this.#parts = parts;
    this.#dismissed = new DismissedConnections(parts, (connection) => this.#open.has(connection));
    this.#recheck = new GradualVisit(parts.clock);
    this.#drainSome = new GradualVisit(parts.clock);
  }

  /** What holds for tunnels from now on. */
  apply(destinations: HboneDestinations): void {
    this.#destinations = destinations;
  }

  /** A connection to the tunnel port; the socket is paused. */
  handle(socket: Socket, remote: SocketAddress, local: SocketAddress): void {
    const refuse = (reason: string, message: string): void => this.#refuse(socket, remote, local, reason, message);
    new FirstBytes(socket, {
      bytes: (bytes) => {
        const hello = inspectClientHello(bytes);
        if (hello.kind === "incomplete") return false;
        if (hello.kind === "hello") this.#terminate(socket, bytes, hello, remote, local);
        else if (hello.kind === "malformed") refuse("tls_malformed_client_hello", hello.reason);
        else refuse("plaintext_on_strict_port", "plaintext to the port for HBONE");
        return true;
      },
      silent: (bytes, hasEnded) => {
        // Connected and closed without a word, as health checks do.
        if (hasEnded && bytes.length === 0) socket.destroy();
        else refuse("tls_incomplete_client_hello", "the peer of the port for HBONE did not begin a TLS handshake");
      },
      closed: () => socket.destroy(),
    }, this.#parts, HELLO_TIMEOUT_MS);
  }

  /** Asks peers to open no more tunnels; those that are open go on to their end. */
  drain(): void {
    this.#isDraining = true;
    for (const connection of this.#open) connection.server.drain();
  }

  /** Asks the peers that are meant to open no more tunnels. */
  drainSome(isMeant: (facts: ConnectionFacts) => boolean): void {
    this.#drainSome.begin(this.#open, (connection) => {
      if (this.#open.has(connection) && isMeant(connection.server.connection)) connection.server.drain();
    });
  }

  /**
   * Asks about every open connection whether it may go on: `denied` gives the reason why not, or null. One that may not
   * gets no further tunnel, and closes with the last or is cut soon; what is in its tunnels is asked about by those who
   * carry it.
   */
  recheck(denied: (facts: ConnectionFacts) => string | null): void {
    this.#recheck.begin(this.#open, (connection) => {
      const reason = this.#dismissed.has(connection) || !this.#open.has(connection) ? null : denied(connection.server.connection);
      if (reason !== null) this.#dismissed.add(connection, new ProxyError("no_longer_accepted", reason));
    });
  }

  #terminate(socket: Socket, bytes: Buffer, hello: ClientHello, remote: SocketAddress, local: SocketAddress): void {
    if (!hello.alpn.includes("h2")) {
      this.#refuse(socket, remote, local, "hbone_without_h2", "the peer of the port for HBONE did not offer the ALPN name h2");
      return;
    }
    socket.unshift(bytes);
    this.#next.terminateTls(socket, hello, (refusal, secured, tls) => {
      try {
        if (refusal !== null || secured === null || tls === null) {
          this.#refuse(socket, remote, local, refusal?.reason ?? "tls_closed", refusal?.message ?? "the peer closed");
        } else {
          const facts: ConnectionFacts = { remote, local, isCaptured: false, tls };
          const dismissal = this.#next.dismissal(facts);
          if (dismissal === null) this.#serve(secured, facts);
          else this.#refuse(secured, remote, local, dismissal.reason, dismissal.message);
        }
      } catch (cause) {
        socket.destroy();
        this.#parts.defect("inbound_hbone", cause);
      }
    });
  }

  #serve(socket: Socket, facts: ConnectionFacts): void {
    const connection = new HboneConnection(socket, facts, this.#next, this.#parts, () => this.#destinations, (over) => this.#open.delete(over));
    this.#open.add(connection);
    if (this.#isDraining) connection.server.drain();
    connection.server.start();
  }

  #refuse(socket: Socket, remote: SocketAddress, local: SocketAddress, reason: string, message: string): void {
    this.#next.refused({ remote, local, reason, message });
    socket.destroy();
  }
}

/** One connection and its tunnels. */
class HboneConnection implements HttpHandler {
  readonly server: Http2Server;
  readonly #facts: ConnectionFacts;
  readonly #next: HboneNext;
  readonly #parts: HboneParts;
  readonly #destinations: () => HboneDestinations;
  readonly #onClosed: (connection: HboneConnection) => void;

  constructor(
    socket: Socket, facts: ConnectionFacts, next: HboneNext, parts: HboneParts, destinations: () => HboneDestinations,
    onClosed: (connection: HboneConnection) => void,
  ) {
    this.#facts = facts;
    this.#next = next;
    this.#parts = parts;
    this.#destinations = destinations;
    this.#onClosed = onClosed;
    this.server = new Http2Server(socket, facts, this, { clock: parts.clock, timers: parts.timers, session: SESSION });
  }

  finish(): void {
    this.server.finish();
  }

  destroy(error: ProxyError): void {
    this.server.destroy(error);
  }

  request(head: RequestHead, end: boolean, stream: DownstreamStream): RequestReceiver {
    const { addresses, ownPorts } = this.#destinations();
    const destination = tunnelDestination(head, addresses, ownPorts());
    if ("status" in destination) {
      const { remote, local } = this.#facts;
      this.#next.refused({ remote, local, reason: destination.reason, message: destination.message });
      this.#parts.countTunnel("refused");
      stream.respond(new ResponseHead(destination.status, "", new HeaderList(), 0), true);
      return NOBODY;
    }
    const socket = new TunnelSocket(stream, { timers: this.#parts.timers, hasEnded: end, answered: this.#parts.countTunnel });
    this.#next.serve(socket.asSocket(), this.#factsOf(destination, head.headers));
    return socket.receiver;
  }

  malformed(error: ProxyError, { remote, local }: ConnectionFacts): void {
    if (error.code === "internal") this.#parts.defect("inbound_hbone", error.cause);
    else this.#next.refused({ remote, local, reason: "hbone_protocol_error", message: error.message });
  }

  closed(): void {
    this.#onClosed(this);
  }

  /**
   * As if the peer had come to the port itself. Inside, nothing was agreed on by ALPN. The source stays the peer of the
   * connection: `forwarded` says whatever its sender likes, and policies go by the source's address.
   */
  #factsOf(destination: SocketAddress, headers: HeaderList): ConnectionFacts {
    const { remote, tls } = this.#facts;
    const baggage = headers.joined("baggage");
    return {
      remote, local: destination, isCaptured: true, tls: tls === null ? null : { ...tls, serverName: null, alpn: null },
      tunnel: { workload: baggage === undefined ? null : parseBaggage(baggage) },
    };
  }
}

/** Hears the rest of a request that was answered. */
const NOBODY: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  reset: () => undefined,
};
