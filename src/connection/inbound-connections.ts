import type { Socket } from "node:net";
import type { InboundSpec } from "../config/snapshot.ts";
import type { IngressTlsSpec } from "../config/snapshot-security.ts";
import type { ConnectionJudged, ConnectionRefusal } from "../filter/connection-authorization.ts";
import type { AuthorizationVerdict } from "../filter/rbac-verdict.ts";
import type { StreamRouting } from "../http/http-stream.ts";
import type { ConnectionFacts, SocketAddress, TlsFacts } from "../message/connection-facts.ts";
import { inspectClientHello, type ClientHello } from "./client-hello.ts";
import { CLIENT_FIRST_DELAY_MS, DETECT_TIMEOUT_MS, type DetectionOutcome, type DetectionParts, speaksFirst } from "./detection.ts";
import type { EarlyDial, EarlyDialOptions } from "./early-dial.ts";
import { FirstBytes } from "./first-bytes.ts";
import { HeldConnection } from "./held-connection.ts";
import { chooseInboundChain, dialsEarly, type InboundChain, type Observed, servesUnseen } from "./inbound-chain.ts";
import { type InboundPort, InboundPorts } from "./inbound-port.ts";
import type { Dismissal } from "./inbound-admission.ts";
import { describeDenial, describeRefusal, type InboundRefusal } from "./inbound-refusal.ts";
import { beginsPreface, sniff } from "./sniff.ts";
import type { TcpRequest } from "./tcp-proxy.ts";

/**
 * Under PERMISSIVE, how long a peer of the mesh has for its ClientHello after the application spoke, whose words would
 * else meet it in plaintext: more than a stall of its sidecar, or a period in which the kernel gave that no CPU time.
 */
const HELLO_GRACE_MS = 200;

/** Where a connection goes once its filter chain is known. */
export interface InboundNext {
  /** `own`: what the port has in place of mutual TLS of the mesh; null: that. */
  readonly terminateTls: (socket: Socket, hello: ClientHello, protocol: "http" | "tcp", own: IngressTlsSpec | null,
    done: (refusal: { reason: string; message: string } | null, socket: Socket | null, tls: TlsFacts | null) => void) => void;
  readonly http: (socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, routing: StreamRouting) => void;
  /** Why a peer that has proved who it is may not go on all the same: what it was let in by has changed meanwhile. */
  readonly dismissal: (facts: ConnectionFacts) => Dismissal | null;
  /** Judges an opaque connection, asking nobody. */
  readonly authorizeTcp: (facts: ConnectionFacts) => AuthorizationVerdict;
  /** Asks whoever is to decide about it; null: nobody is. `judged` is told once, possibly within the call, and not after `cancel`. */
  readonly askTcp: (facts: ConnectionFacts, judged: ConnectionJudged) => { cancel(): void } | null;
  /** Told once of the verdict that holds; gives the id of its record if it is a denial, else null. */
  readonly authorized: (facts: ConnectionFacts, verdict: AuthorizationVerdict, said: string | null) => string | null;
  readonly opaque: (request: TcpRequest) => void;
  readonly dialEarly: (request: TcpRequest, options: EarlyDialOptions) => EarlyDial;
  /** The socket is destroyed after the call. */
  readonly refused: (refusal: InboundRefusal, socket: Socket) => void;
}

/** A connection whose chain is not known yet. */
interface Arrival {
  readonly socket: Socket;
  readonly facts: ConnectionFacts;
  /** By the snapshot in force when something was last decided about it. */
  port: InboundPort;
  /** The application, dialled meanwhile. */
  early: EarlyDial | null;
}

/**
 * Connections that arrive for the application. The destination port selects the port's mode and protocol, the first
 * bytes select the chain (`spec/02` 2.7); what no chain takes is refused with a reason, never served some other way.
 * Where plaintext may be opaque the application is dialled meanwhile, in case it is the one who speaks first.
 */
export class InboundConnections {
  readonly #next: InboundNext;
  readonly #parts: DetectionParts;
  #ports: InboundPorts | null = null;

  constructor(next: InboundNext, parts: DetectionParts) {
    this.#next = next;
    this.#parts = parts;
  }

  apply(spec: InboundSpec): void {
    this.#ports = new InboundPorts(spec);
  }

  /** A captured connection, or one to a port the Sidecar resource binds (`isCaptured` false). */
  handle(socket: Socket, remote: SocketAddress, destination: SocketAddress, isCaptured: boolean): void {
    this.serve(socket, { remote, local: destination, isCaptured, tls: null });
  }

  /** A connection of which more is known than where it goes to: one that came through a tunnel. The socket is paused. */
  serve(socket: Socket, facts: ConnectionFacts): void {
    const port = this.#ports?.of(facts.local.port);
    if (port === undefined) {
      socket.destroy();
      return;
    }
    const { mtls, protocol, tls } = port.spec;
    const arrival: Arrival = { socket, facts, port, early: null };
    if (servesUnseen(mtls, protocol, tls !== undefined)) {
      this.#servePlaintext(arrival, null, "tcp");
      return;
    }
    const first = new FirstBytes(socket, {
      bytes: (bytes) => this.#onBytes(arrival, bytes),
      silent: (bytes, hasEnded) => this.#onSilent(arrival, bytes, hasEnded),
      closed: () => socket.destroy(),
    }, this.#parts, DETECT_TIMEOUT_MS);
    if (dialsEarly(mtls, protocol, tls !== undefined)) arrival.early = this.#dialEarly(arrival, first);
  }

  #dialEarly(arrival: Arrival, first: FirstBytes): EarlyDial {
    const { socket, facts, port } = arrival;
    return this.#next.dialEarly({ socket, firstBytes: null, facts, ...port.destination }, {
      delayMs: port.isClientFirst ? CLIENT_FIRST_DELAY_MS : 0,
      graceMs: port.spec.mtls === "PERMISSIVE" ? HELLO_GRACE_MS : 0,
      isAllowed: () => this.#next.authorizeTcp(facts).isAllowed,
      onUpstreamSpoke: () => {
        const { mtls, protocol, tls } = this.#portNow(arrival).spec;
        // Nothing of what the application says is for a peer that has to prove who it is since it came.
        if (!dialsEarly(mtls, protocol, tls !== undefined) && !servesUnseen(mtls, protocol, tls !== undefined)) arrival.early?.cancel();
        else first.decide((bytes) => {
          this.#count(arrival.port, "server_first");
          this.#serve(arrival, bytes, { kind: "opaque" }, null);
        });
      },
    });
  }

  /** What holds for a connection now: a policy that came while its first bytes did counts for it too. */
  #portNow(arrival: Arrival): InboundPort {
    arrival.port = this.#ports?.of(arrival.facts.local.port) ?? arrival.port;
    return arrival.port;
  }

  #onBytes(arrival: Arrival, bytes: Buffer): boolean {
    const port = this.#portNow(arrival);
    // With mTLS off a ClientHello is only bytes, and whether they are HTTP is all that matters.
    const hello = port.spec.mtls === "DISABLE" && port.spec.tls === undefined ? { kind: "not-tls" as const } : inspectClientHello(bytes);
    if (hello.kind === "incomplete") {
      // Whatever the application says now, what has begun as TLS is not served as plaintext.
      arrival.early?.cancel();
      return false;
    }
    if (hello.kind === "malformed") {
      this.#refuse(arrival, "tls_malformed_client_hello", hello.reason);
      return true;
    }
    if (hello.kind === "hello") {
      this.#count(port, "tls");
      this.#serve(arrival, bytes, { kind: "tls", alpn: hello.alpn }, hello);
      return true;
    }
    let observed: Observed = { kind: "opaque" };
    if (isTlsOnly(port)) {
      // Whatever it is, it is not TLS.
      this.#serve(arrival, bytes, observed, null);
      return true;
    }
    if (port.spec.protocol === "auto") {
      const sniffed = sniff(bytes);
      if (sniffed === "incomplete") return false;
      observed = { kind: sniffed === "http1" || sniffed === "http2" ? "http" : "opaque" };
      this.#count(port, sniffed === "other" ? "opaque" : sniffed);
    } else if (port.spec.protocol === "http" && beginsPreface(bytes)) {
      // Which version it is, the whole preface tells.
      return false;
    }
    this.#serve(arrival, bytes, observed, null);
    return true;
  }

  #onSilent(arrival: Arrival, bytes: Buffer, hasEnded: boolean): void {
    const { socket } = arrival;
    const port = this.#portNow(arrival);
    // Connected and closed without a word, as health checks do: nothing is refused by serving nothing.
    if (hasEnded && bytes.length === 0 && (isTlsOnly(port) || port.spec.protocol === "http")) {
      socket.destroy();
      return;
    }
    this.#count(port, hasEnded ? "opaque" : "timeout");
    if (bytes.length > 0 && inspectClientHello(bytes).kind === "incomplete") {
      this.#refuse(arrival, "tls_incomplete_client_hello", "the peer began a TLS handshake and never went on");
      return;
    }
    this.#serve(arrival, bytes, { kind: "opaque" }, null);
  }

  #count(port: InboundPort, outcome: DetectionOutcome): void {
    port.isClientFirst = speaksFirst(outcome);
    const isDeclared = port.spec.protocol !== "auto";
    if (!isDeclared || outcome === "server_first" || outcome === "timeout") this.#parts.countDetected("inbound", outcome);
  }

  #serve(arrival: Arrival, bytes: Buffer, observed: Observed, hello: ClientHello | null): void {
    const { socket, facts, port } = arrival;
    const chain: InboundChain = chooseInboundChain(port.spec.mtls, port.spec.protocol, observed, port.spec.tls !== undefined);
    if (chain.kind === "refuse") {
      this.#refuse(arrival, chain.reason, describeRefusal(chain.reason, facts));
    } else if (chain.kind === "plaintext") {
      this.#servePlaintext(arrival, bytes, chain.protocol);
    } else if (hello !== null) {
      arrival.early?.cancel();
      socket.unshift(bytes);
      const own = chain.kind === "terminate-own" ? port.spec.tls ?? null : null;
      this.#next.terminateTls(socket, hello, chain.protocol, own, (refusal, secured, tls) => {
        try {
          if (refusal !== null || secured === null) {
            this.#refuse(arrival, refusal?.reason ?? "tls_closed", refusal?.message ?? "the peer closed");
          } else {
            this.#servePlaintext({ socket: secured, facts: { ...facts, tls }, port, early: null }, null, chain.protocol);
          }
        } catch (cause) {
          socket.destroy();
          this.#parts.defect("inbound_tls", cause);
        }
      });
    }
  }

  #servePlaintext(arrival: Arrival, bytes: Buffer | null, protocol: "http" | "tcp"): void {
    const { socket, facts, port, early } = arrival;
    const dismissal = facts.tls === null ? null : this.#next.dismissal(facts);
    if (dismissal !== null) {
      this.#refuse(arrival, dismissal.reason, dismissal.message);
      return;
    }
    if (protocol === "http") {
      early?.cancel();
      if (bytes === null && facts.tls?.alpn === null) this.#awaitVersion(arrival);
      else this.#next.http(socket, bytes, facts, port.routing);
      return;
    }
    if (!this.#asks(arrival, bytes)) this.#judged(arrival, bytes, this.#next.authorizeTcp(facts), null);
  }

  /** Holds an opaque connection while somebody outside is asked about it. False: nobody is. */
  #asks(arrival: Arrival, bytes: Buffer | null): boolean {
    const { socket, facts } = arrival;
    let held: HeldConnection | null = null;
    let isJudged = false;
    const wait = this.#next.askTcp(facts, (verdict, refusal) => {
      isJudged = true;
      try {
        this.#judged(arrival, held === null ? bytes : held.release(), verdict, refusal);
      } catch (cause) {
        socket.destroy();
        this.#parts.defect("inbound_authorization", cause);
      }
    });
    if (wait === null) return false;
    if (!isJudged) held = new HeldConnection(socket, bytes, () => {
      wait.cancel();
      arrival.early?.cancel();
      socket.destroy();
    });
    return true;
  }

  #judged(arrival: Arrival, bytes: Buffer | null, verdict: AuthorizationVerdict, refusal: ConnectionRefusal | null): void {
    const { socket, facts, port, early } = arrival;
    // While somebody was asked, the connection was nobody's to dismiss.
    const dismissal = this.#next.dismissal(facts);
    if (dismissal !== null) {
      this.#refuse(arrival, dismissal.reason, dismissal.message);
      return;
    }
    const recordId = this.#next.authorized(facts, verdict, refusal?.said ?? null);
    if (verdict.isAllowed) this.#next.opaque({ socket, firstBytes: bytes, facts, ...port.destination, early });
    else this.#refuse(arrival, refusal?.details ?? "rbac_access_denied", describeDenial(verdict, facts, recordId, refusal?.said));
  }

  /** Nothing was agreed on by ALPN: as in Envoy, the first bytes tell which version of HTTP is spoken inside of TLS. */
  #awaitVersion(arrival: Arrival): void {
    const { socket } = arrival;
    new FirstBytes(socket, {
      bytes: (bytes) => {
        if (beginsPreface(bytes)) return false;
        this.#servePlaintext(arrival, bytes, "http");
        return true;
      },
      silent: (bytes, hasEnded) => {
        if (hasEnded && bytes.length === 0) socket.destroy();
        else this.#servePlaintext(arrival, bytes, "http");
      },
      closed: () => socket.destroy(),
    }, this.#parts, DETECT_TIMEOUT_MS);
  }

  #refuse({ socket, facts, early }: Arrival, reason: string, message: string): void {
    early?.cancel();
    this.#next.refused({ remote: facts.remote, local: facts.local, reason, message }, socket);
    socket.destroy();
  }
}

/** Plaintext is refused, whatever it is. */
function isTlsOnly({ spec }: InboundPort): boolean {
  return spec.mtls === "STRICT" || spec.tls !== undefined;
}
