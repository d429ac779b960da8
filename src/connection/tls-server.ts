import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { SecureContext, TLSSocketOptions } from "node:tls";

import { rememberTransport } from "../core/reset-connection.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { PeerRefused } from "../identity/peer-refused.ts";
import type { TlsIdentity } from "../identity/tls-identity.ts";
import { describeTlsError } from "../identity/tls-error.ts";
import type { PeerCertificate, TlsFacts } from "../message/connection-facts.ts";
import type { ClientHello } from "./client-hello.ts";
import type { HandshakeLimiter } from "./handshake-limiter.ts";

const HANDSHAKE_TIMEOUT_MS = 5000;

export interface TerminateOptions {
  readonly identity: TlsIdentity;
  /** Our trust domain and its aliases, `Snapshot.trustDomains`. */
  readonly trustDomains: readonly string[];
  /** The hello `inspectClientHello` read from the bytes that were put back. */
  readonly hello: ClientHello;
  /** ALPN names we take, best first. With none offered that is here, no name is chosen and the handshake goes on. */
  readonly alpnPreference: readonly string[];
  readonly timers: TimerWheel;
  /** One per thread. */
  readonly handshakes: HandshakeLimiter;
  /** From the call to the peer's last message, waiting for a place included; 5 s by default. */
  readonly handshakeTimeoutMs?: number;
  /** Whether the peer must prove who it is; true by default. */
  readonly isClientCertificateRequired?: boolean;
  /** What a port has in place of our identity and of what that asks of peers. */
  readonly own?: OwnServerTls;
}

export interface OwnServerTls {
  readonly secureContext: SecureContext;
  /** Asked of every client, which has no identity for all that; null: clients are not asked for a certificate. */
  readonly refuseClient: ((socket: TLSSocket, peerName: string) => PeerRefused | null) | null;
}

/** Called once. On refusal the socket has been destroyed. */
export type TerminateDone = (refused: PeerRefused | null, socket: TLSSocket | null, facts: TlsFacts | null) => void;

/** A handshake under way. */
export interface Terminating {
  /** Destroys the connection; `done` is not called any more. */
  cancel(): void;
}

/**
 * Terminates TLS on an accepted connection whose first bytes were read and put back with `socket.unshift`. The peer
 * must present an X.509-SVID; it is verified here, on every connection, before `done` hands out the socket.
 */
export function terminateTls(socket: Socket, options: TerminateOptions, done: TerminateDone): Terminating {
  const handshake = new Handshake(socket, options, done);
  handshake.begin();
  return handshake;
}

function ignore(): void {
  // The connection's owner hears of its end by `close`.
}

class Handshake implements Terminating {
  readonly #socket: Socket;
  readonly #options: TerminateOptions;
  readonly #done: TerminateDone;
  readonly #peerName: string;
  readonly #start = (): void => this.#handshake();
  #tls: TLSSocket | null = null;
  #timer: Timer | null = null;
  #hasEntered = false;
  #isOver = false;

  constructor(socket: Socket, options: TerminateOptions, done: TerminateDone) {
    this.#socket = socket;
    this.#options = options;
    this.#done = done;
    this.#peerName = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
  }

  begin(): void {
    const { timers, handshakes, handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS } = this.#options;
    this.#socket.pause();
    this.#socket.on("error", this.#onError);
    this.#socket.on("close", this.#onClose);
    this.#timer = timers.schedule(handshakeTimeoutMs, () => {
      this.#refuse(new PeerRefused("tls_handshake_timeout", `peer ${this.#peerName} did not finish the TLS handshake within ${handshakeTimeoutMs} ms`));
    });
    // Set before: `enter` may run the whole of `#handshake` in this call.
    this.#hasEntered = true;
    if (handshakes.enter(this.#start)) return;
    this.#hasEntered = false;
    this.#refuse(new PeerRefused("tls_handshake_overload", `peer ${this.#peerName} was refused: too many TLS handshakes are waiting`));
  }

  cancel(): void {
    if (!this.#settle()) return;
    (this.#tls ?? this.#socket).destroy();
  }

  #handshake(): void {
    const { identity, hello, alpnPreference, own, isClientCertificateRequired = true } = this.#options;
    const isAsked = own === undefined ? isClientCertificateRequired : own.refuseClient !== null;
    const secureContext = own === undefined ? identity.serverContext : own.secureContext;
    if (secureContext === null) {
      this.#refuse(new PeerRefused("tls_no_identity", `peer ${this.#peerName} cannot be served over TLS: this workload has no certificate yet`));
      return;
    }
    // The choice is made here, from the hello, because OpenSSL can only answer "none of yours" with a fatal alert.
    const chosen = alpnPreference.find((name) => hello.alpn.includes(name));
    const settings: TLSSocketOptions = {
      isServer: true,
      secureContext,
      requestCert: isAsked,
      rejectUnauthorized: isAsked,
      ...(chosen === undefined ? {} : { ALPNProtocols: [chosen] }),
    };
    try {
      this.#tls = new TLSSocket(this.#socket, settings);
      rememberTransport(this.#tls, this.#socket);
    } catch (error) {
      this.#refuse(describeTlsError(error as Error, this.#peerName));
      return;
    }
    this.#tls.on("error", this.#onError);
    this.#tls.on("close", this.#onClose);
    this.#tls.on("end", this.#onClose);
    this.#tls.on("secure", this.#onSecure);
  }

  readonly #onSecure = (): void => {
    const tls = this.#tls;
    if (tls === null || this.#isOver) return;
    const { identity, trustDomains, hello, own, isClientCertificateRequired = true } = this.#options;
    let peer: PeerCertificate | null = null;
    if (own !== undefined) {
      const refused = own.refuseClient?.(tls, this.#peerName) ?? null;
      if (refused !== null) {
        this.#refuse(refused);
        return;
      }
    } else if (isClientCertificateRequired) {
      const verdict = identity.verifyPeer(tls, { trustDomains, identities: [], peerName: this.#peerName });
      if (verdict instanceof PeerRefused) {
        this.#refuse(verdict);
        return;
      }
      peer = verdict;
    }
    if (!this.#settle()) return;
    const alpn = typeof tls.alpnProtocol === "string" && tls.alpnProtocol !== "" ? tls.alpnProtocol : null;
    this.#done(null, tls, { peer, ownSpiffeId: identity.ownSpiffeId, serverName: hello.serverName, alpn });
  };

  readonly #onError = (error: Error): void => {
    this.#refuse(describeTlsError(error, this.#peerName));
  };

  readonly #onClose = (): void => {
    this.#refuse(new PeerRefused("tls_handshake_closed", `peer ${this.#peerName} closed the connection during the TLS handshake`));
  };

  #refuse(refused: PeerRefused): void {
    if (!this.#settle()) return;
    (this.#tls ?? this.#socket).destroy();
    this.#done(refused, null, null);
  }

  /** Ends the handshake once: gives its place and its timer back and takes its listeners off. */
  #settle(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#timer?.cancel();
    for (const emitter of this.#tls === null ? [this.#socket] : [this.#socket, this.#tls]) {
      // No socket is ever without a listener for errors; this one does not keep the handshake in memory.
      emitter.on("error", ignore);
      emitter.off("error", this.#onError);
      emitter.off("close", this.#onClose);
      emitter.off("end", this.#onClose);
    }
    this.#tls?.off("secure", this.#onSecure);
    if (this.#hasEntered) this.#options.handshakes.leave(this.#start);
    return true;
  }
}
