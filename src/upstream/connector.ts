import { connect, isIPv6 } from "node:net";
import type { Socket, TcpNetConnectOpts } from "node:net";
import type { TLSSocket } from "node:tls";

import type { TcpKeepAliveSpec } from "../config/snapshot.ts";
import { KEEP_ALIVE_PROBE_MS } from "../core/keep-alive.ts";
import { leadsToLoopback } from "../core/loopback-address.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import type { TlsIdentity } from "../identity/tls-identity.ts";
import type { PeerCertificate, SocketAddress } from "../message/connection-facts.ts";
import { fromNodeError } from "../message/node-error.ts";
import { ProxyError } from "../message/proxy-error.ts";
import type { TunnelSpec } from "../config/snapshot-cluster.ts";
import { originateToServer, verifyOriginated } from "./originated-client.ts";
import { OriginatedContexts } from "./originated-contexts.ts";
import { PostTunnel } from "./post-tunnel.ts";
import { proxyHeader, type ProxyHeaderSpec } from "./proxy-header.ts";
import { originateTls, tlsConnectError, tlsFailure, verifyUpstream } from "./tls-client.ts";
import { isMeshTls, type TransportTls } from "./transport-tls.ts";
import { type Tunnel, TunnelHandshake } from "./tunnel-handshake.ts";

/** Where to connect and what to verify there. */
export interface ConnectTarget {
  /** IP address: names were looked up by whoever asks. */
  readonly address: string;
  readonly port: number;
  /** Dial from 127.0.0.6 or ::6, which the capture rules let through to the application (`spec/02` 2.8). */
  readonly fromLoopbackSource: boolean;
  /** TCP and TLS handshake together; 0: no limit. */
  readonly connectTimeoutMs: number;
  /** Null: plaintext. */
  readonly tls: TransportTls | null;
  /** ALPN names to offer, best first; only with TLS. */
  readonly alpn: readonly string[];
  /** Sent before anything else, TLS included. */
  readonly proxyHeader?: ProxyHeaderSpec;
  /** What is dialled is a forward proxy, and the connection one through it. */
  readonly tunnel?: TunnelSpec;
  /** Absent: `KEEP_ALIVE_PROBE_MS`. */
  readonly keepAlive?: TcpKeepAliveSpec | undefined;
}

/** Node's, which its types do not know in full yet. */
interface KeepAliveSocket {
  setKeepAlive(enable: true, initialDelayMs: number, intervalMs: number, count: number): unknown;
}

/** What is known of a connection that is ready. */
export interface UpstreamFacts {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** SPIFFE ID the peer proved; null on plaintext. */
  readonly peerSpiffeId: string | null;
  /** When the certificate ends that it proved this with, milliseconds since the epoch; absent on plaintext. */
  readonly peerExpiresAtMs?: number;
  /** Why the peer may close the connection without a word, where that is to be expected. */
  readonly doubt?: string;
  /** Protocol negotiated; null when there was none. */
  readonly alpn: string | null;
  /** Generation of identity and trust the handshake began under; the current one on plaintext. */
  readonly generation: number;
}

/** A dial under way. */
export interface Dialing {
  /** Gives it up; `done` is not called any more. */
  cancel(): void;
}

/** Called once. The socket is ready for bytes and keeps a listener for errors; its new owner adds its own. */
export type ConnectDone = (error: ProxyError | null, socket: Socket | null, facts: UpstreamFacts | null) => void;

export interface ConnectorParts {
  readonly identity: TlsIdentity;
  readonly timers: TimerWheel;
  /** Trust domains whose peers are accepted now, `Snapshot.trustDomains`. */
  readonly trustDomains: () => readonly string[];
  /** Ports on loopback that nothing is connected to, whatever the configuration says; absent: none. */
  readonly ownPorts?: readonly number[];
}

/**
 * Dials upstreams, in plaintext, with mesh mTLS or with TLS to servers outside of the mesh, and hands out sockets only once
 * their peer is verified. There is no fallback from TLS to plaintext, whatever fails.
 */
export class Connector {
  readonly #parts: ConnectorParts;
  readonly #contexts = new OriginatedContexts();

  constructor(parts: ConnectorParts) {
    this.#parts = parts;
  }

  /** Connects to `target`. `done` is called once, never from within this call, unless the dial is cancelled. */
  connect(target: ConnectTarget, done: ConnectDone): Dialing {
    const dial = new Dial(target, this.#parts, this.#contexts, done);
    dial.begin();
    return dial;
  }
}

function ignore(): void {
  // The connection's owner hears of its end by `close`.
}

class Dial implements Dialing {
  readonly #target: ConnectTarget;
  readonly #parts: ConnectorParts;
  readonly #contexts: OriginatedContexts;
  readonly #done: ConnectDone;
  readonly #peerName: string;
  readonly #generation: number;
  #tcp: Socket | null = null;
  /** Once TCP is connected, where TLS is spoken. */
  #tls: TLSSocket | null = null;
  #timer: Timer | null = null;
  /** Set while a forward proxy is asked. */
  #tunnel: Tunnel | null = null;
  #isTcpConnected = false;
  #isOver = false;

  constructor(target: ConnectTarget, parts: ConnectorParts, contexts: OriginatedContexts, done: ConnectDone) {
    this.#target = target;
    this.#parts = parts;
    this.#contexts = contexts;
    this.#done = done;
    this.#peerName = target.address.includes(":") ? `[${target.address}]:${target.port}` : `${target.address}:${target.port}`;
    this.#generation = parts.identity.generation;
  }

  begin(): void {
    const { address, port, connectTimeoutMs, tls } = this.#target;
    if (this.#parts.ownPorts?.includes(port) === true && leadsToLoopback(address)) {
      this.#failSoon(new ProxyError("connect_failure", `${this.#peerName} is a port of this proxy itself, which it leads nobody to`));
      return;
    }
    if (isMeshTls(tls) && this.#parts.identity.clientContext === null) {
      this.#failSoon(tlsFailure(this.#withoutCertificate()));
      return;
    }
    try {
      this.#tcp = this.#open();
    } catch (error) {
      // Node throws for what it can tell without the network: a port out of range, a bad local address.
      this.#failSoon(fromNodeError(error as Error, this.#peerName, "connect"));
      return;
    }
    if (connectTimeoutMs > 0) this.#timer = this.#parts.timers.schedule(connectTimeoutMs, () => this.#onTimeout());
    this.#tcp.on("error", this.#onError);
    this.#tcp.on("close", this.#onClose);
    this.#tcp.on("connect", this.#onConnect);
  }

  cancel(): void {
    if (!this.#settle()) return;
    this.#destroy();
  }

  #open(): Socket {
    const { address, port, fromLoopbackSource } = this.#target;
    const options: TcpNetConnectOpts = {
      host: address,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      allowHalfOpen: true,
      ...(fromLoopbackSource ? { localAddress: isIPv6(address) ? "::6" : "127.0.0.6" } : {}),
    };
    return connect(options);
  }

  readonly #onConnect = (): void => {
    const { tls, alpn, keepAlive } = this.#target;
    const tcp = this.#tcp;
    if (tcp === null) return;
    this.#isTcpConnected = true;
    if (keepAlive !== undefined) (tcp as unknown as KeepAliveSocket).setKeepAlive(true, keepAlive.timeMs, keepAlive.intervalMs, keepAlive.probes);
    this.#introduce(tcp);
    if (tls === null) {
      this.#ready(tcp, null, null);
      return;
    }
    const socket = this.#originate(tcp, tls, alpn);
    if (socket instanceof PeerRefused) {
      this.#fail(tlsFailure(socket));
      return;
    }
    this.#tls = socket;
    this.#tls.on("error", this.#onError);
    this.#tls.on("close", this.#onClose);
    this.#tls.on("end", this.#onClose);
    this.#tls.on("secureConnect", this.#onSecure);
  };

  readonly #onSecure = (): void => {
    const { tls } = this.#target;
    const socket = this.#tls;
    if (tls === null || socket === null || this.#isOver) return;
    const alpn = typeof socket.alpnProtocol === "string" && socket.alpnProtocol !== "" ? socket.alpnProtocol : null;
    if (isMeshTls(tls)) {
      const verdict = verifyUpstream(socket, this.#parts.identity, tls, this.#parts.trustDomains(), this.#peerName);
      if (verdict instanceof ProxyError) this.#fail(verdict);
      else this.#ready(socket, verdict, alpn);
      return;
    }
    const refused = verifyOriginated(socket, tls, this.#peerName);
    if (refused === null) this.#ready(socket, null, alpn);
    else this.#fail(tlsFailure(refused));
  };

  readonly #onError = (error: Error): void => {
    const isTls = this.#target.tls !== null;
    this.#fail(isTls ? tlsConnectError(error, this.#peerName, this.#isTcpConnected) : fromNodeError(error, this.#peerName, "connect"));
  };

  readonly #onClose = (): void => {
    if (this.#tunnel !== null) {
      this.#fail(this.#tunnel.closedEarly());
    } else if (this.#isTcpConnected) {
      this.#fail(tlsFailure(new PeerRefused("tls_handshake_closed", `peer ${this.#peerName} closed the connection during the TLS handshake`)));
    } else {
      this.#fail(new ProxyError("connect_failure", `${this.#peerName}: closed before it was connected`));
    }
  };

  #originate(tcp: Socket, tls: TransportTls, alpn: readonly string[]): TLSSocket | PeerRefused {
    if (isMeshTls(tls)) return originateTls(tcp, this.#parts.identity, tls, alpn) ?? this.#withoutCertificate();
    const context = this.#contexts.of(tls.spec, this.#peerName);
    return context instanceof PeerRefused ? context : originateToServer(tcp, tls, context, alpn);
  }

  #onTimeout(): void {
    const what = this.#tunnel !== null ? "no tunnel opened" : this.#isTcpConnected ? "TLS handshake not finished" : "not connected";
    this.#fail(new ProxyError("connect_timeout", `${this.#peerName}: ${what} within ${this.#target.connectTimeoutMs} ms`));
  }

  #withoutCertificate(): PeerRefused {
    return new PeerRefused("tls_no_identity", `cannot speak mesh TLS to ${this.#peerName}: this workload has no certificate yet`);
  }

  #introduce(tcp: Socket): void {
    const { proxyHeader: wanted } = this.#target;
    if (wanted === undefined) return;
    const own = { source: addressOf(tcp.localAddress, tcp.localPort), destination: addressOf(tcp.remoteAddress, tcp.remotePort) };
    const { source, destination } = wanted.origin ?? own;
    tcp.write(proxyHeader(wanted.version, source, destination));
  }

  /** Connected and verified; behind a forward proxy not yet where it should lead. */
  #ready(socket: Socket, peer: PeerCertificate | null, alpn: string | null): void {
    const { tunnel } = this.#target;
    if (tunnel === undefined) {
      this.#finish(socket, peer, alpn);
      return;
    }
    const Kind = tunnel.protocol === "POST" ? PostTunnel : TunnelHandshake;
    this.#tunnel = new Kind(socket, tunnel, this.#peerName, (error, through) => {
      if (error === null && through !== null) this.#finish(socket, peer, alpn, through);
      else this.#fail(error ?? new ProxyError("internal", "the tunnel gave no connection"));
    });
    this.#tunnel.begin();
  }

  /** `through`: what is handed out, where it is not the connection itself. */
  #finish(socket: Socket, peer: PeerCertificate | null, alpn: string | null, through = socket): void {
    if (!this.#settle()) return;
    const local = addressOf(socket.localAddress, socket.localPort);
    const remote = addressOf(socket.remoteAddress ?? this.#target.address, socket.remotePort ?? this.#target.port);
    const doubt = peer === null ? null : this.#parts.identity.ownFault;
    const proved = peer === null ? { peerSpiffeId: null } : { peerSpiffeId: peer.spiffeId, peerExpiresAtMs: peer.expiresAtMs, ...(doubt === null ? {} : { doubt }) };
    this.#done(null, through, { local, remote, ...proved, alpn, generation: this.#generation });
  }

  #fail(error: ProxyError): void {
    if (!this.#settle()) return;
    this.#destroy();
    this.#done(error, null, null);
  }

  /** Reports a failure known at once in a later turn, so that callers see one order of events only. */
  #failSoon(error: ProxyError): void {
    this.#timer = null;
    setImmediate(() => this.#fail(error));
  }

  #destroy(): void {
    (this.#tls ?? this.#tcp)?.destroy();
  }

  #settle(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#timer?.cancel();
    for (const socket of [this.#tcp, this.#tls]) {
      if (socket === null) continue;
      // No socket is ever without a listener for errors; this one does not keep the dial in memory.
      socket.on("error", ignore);
      socket.off("error", this.#onError);
      socket.off("close", this.#onClose);
      socket.off("end", this.#onClose);
      socket.off("connect", this.#onConnect);
      socket.off("secureConnect", this.#onSecure);
    }
    return true;
  }
}

/** The peer of a connection in messages about its end. */
export function peerInMessages({ remote, doubt }: Pick<UpstreamFacts, "remote" | "doubt">): string {
  const address = `${remote.address}:${remote.port}`;
  return doubt === undefined ? address : `${address} (${doubt})`;
}

/** An address without the IPv4-in-IPv6 prefix a dual-stack socket puts before it. */
function addressOf(address: string | undefined, port: number | undefined): SocketAddress {
  const text = address ?? "";
  return { address: text.startsWith("::ffff:") && text.includes(".") ? text.slice(7) : text, port: port ?? 0 };
}
