import type { Socket } from "node:net";
import type { ForwardSpec, InboundPortSpec, InboundSpec, RetrySpec, RouteSpec } from "../config/snapshot.ts";
import type { AuthorizationVerdict } from "../filter/rbac.ts";
import type { StreamRouting } from "../http/http-stream.ts";
import type { ConnectionFacts, SocketAddress, TlsFacts } from "../message/connection-facts.ts";
import { inspectClientHello, type ClientHello } from "./client-hello.ts";
import { FirstBytes, type FirstBytesParts } from "./first-bytes.ts";
import { chooseInboundChain, type InboundChain, type Observed, servesUnseen } from "./inbound-chain.ts";
import { beginsPreface, sniff } from "./sniff.ts";
import type { TcpRequest } from "./tcp-proxy.ts";

/** How long a peer may keep silent before it counts as opaque (PERMISSIVE) or is refused (STRICT). */
const DETECT_TIMEOUT_MS = 10_000;

/** Why an inbound connection was not served; `peer` is for the log. */
export interface InboundRefusal {
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /** Stable name, also the metric's label. */
  readonly reason: string;
  /** A sentence for the operator. */
  readonly message: string;
}

/** Where a connection goes once its filter chain is known. */
export interface InboundNext {
  readonly terminateTls: (socket: Socket, hello: ClientHello, protocol: "http" | "tcp",
    done: (refusal: { reason: string; message: string } | null, socket: Socket | null, tls: TlsFacts | null) => void) => void;
  readonly http: (socket: Socket, firstBytes: Buffer | null, facts: ConnectionFacts, routing: StreamRouting) => void;
  /** Judges an opaque connection. */
  readonly authorizeTcp: (facts: ConnectionFacts) => AuthorizationVerdict;
  readonly opaque: (request: TcpRequest) => void;
  readonly refused: (refusal: InboundRefusal) => void;
}

/** `spec/02` 2.8: the hop to the application repeats only what was never written. */
const INBOUND_RETRY: RetrySpec = {
  attempts: 2, perTryTimeoutMs: 0, retryOn: ["reset-before-request"], retriableStatuses: [],
  backoffBaseMs: 25, backoffMaxMs: 250, isExplicit: false,
};

/** A port with what is made of it once per snapshot. */
class InboundPort {
  readonly spec: InboundPortSpec;
  readonly routing: StreamRouting;

  constructor(spec: InboundPortSpec) {
    this.spec = spec;
    const action: ForwardSpec = { kind: "forward", clusters: [{ name: spec.cluster, weight: 1 }], timeoutMs: 0, retry: INBOUND_RETRY };
    const route: RouteSpec = {
      name: "default", action, provenance: null,
      match: { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] },
    };
    this.routing = { service: spec.service, findRoute: () => route };
  }
}

/**
 * Connections that arrive for the application. The destination port selects the port's mode and protocol, the first
 * bytes select the chain (`spec/02` 2.7); what no chain takes is refused with a reason, never served some other way.
 */
export class InboundConnections {
  readonly #next: InboundNext;
  readonly #parts: FirstBytesParts;
  #ports = new Map<number, InboundPort>();
  #passthrough: InboundPort | null = null;

  constructor(next: InboundNext, parts: FirstBytesParts) {
    this.#next = next;
    this.#parts = parts;
  }

  apply(spec: InboundSpec): void {
    this.#ports = new Map(spec.ports.map((port) => [port.port, new InboundPort(port)]));
    this.#passthrough = new InboundPort(spec.passthrough);
  }

  /** A captured connection, or one to a port the Sidecar resource binds (`isCaptured` false). */
  handle(socket: Socket, remote: SocketAddress, destination: SocketAddress, isCaptured: boolean): void {
    const port = this.#ports.get(destination.port) ?? this.#passthrough;
    if (port === null) {
      socket.destroy();
      return;
    }
    const facts: ConnectionFacts = { remote, local: destination, isCaptured, tls: null };
    const { mtls, protocol } = port.spec;
    if (servesUnseen(mtls, protocol)) {
      this.#servePlaintext(socket, null, facts, port, "tcp");
      return;
    }
    new FirstBytes(socket, {
      bytes: (bytes) => this.#onBytes(socket, bytes, facts, port),
      silent: (bytes, hasEnded) => this.#onSilent(socket, bytes, facts, port, hasEnded),
      closed: () => socket.destroy(),
    }, this.#parts, DETECT_TIMEOUT_MS);
  }

  #onBytes(socket: Socket, bytes: Buffer, facts: ConnectionFacts, port: InboundPort): boolean {
    // With mTLS off a ClientHello is only bytes, and whether they are HTTP is all that matters.
    const hello = port.spec.mtls === "DISABLE" ? { kind: "not-tls" as const } : inspectClientHello(bytes);
    if (hello.kind === "incomplete") return false;
    if (hello.kind === "malformed") {
      this.#refuse(socket, facts, "tls_malformed_client_hello", hello.reason);
      return true;
    }
    if (hello.kind === "hello") {
      this.#serve(socket, bytes, facts, port, { kind: "tls", alpn: hello.alpn }, hello);
      return true;
    }
    let observed: Observed = { kind: "opaque" };
    if (port.spec.protocol === "auto") {
      const sniffed = sniff(bytes);
      if (sniffed === "incomplete") return false;
      observed = { kind: sniffed === "http1" || sniffed === "http2" ? "http" : "opaque" };
    } else if (port.spec.protocol === "http" && beginsPreface(bytes)) {
      // Which version it is, the whole preface tells.
      return false;
    }
    this.#serve(socket, bytes, facts, port, observed, null);
    return true;
  }

  #onSilent(socket: Socket, bytes: Buffer, facts: ConnectionFacts, port: InboundPort, hasEnded: boolean): void {
    // Connected and closed without a word, as health checks do: nothing is refused by serving nothing.
    if (hasEnded && bytes.length === 0 && (port.spec.mtls === "STRICT" || port.spec.protocol === "http")) {
      socket.destroy();
      return;
    }
    if (bytes.length > 0 && inspectClientHello(bytes).kind === "incomplete") {
      this.#refuse(socket, facts, "tls_incomplete_client_hello", "the peer began a TLS handshake and never went on");
      return;
    }
    this.#serve(socket, bytes, facts, port, { kind: "opaque" }, null);
  }

  #serve(socket: Socket, bytes: Buffer, facts: ConnectionFacts, port: InboundPort, observed: Observed, hello: ClientHello | null): void {
    const chain: InboundChain = chooseInboundChain(port.spec.mtls, port.spec.protocol, observed);
    if (chain.kind === "refuse") {
      this.#refuse(socket, facts, chain.reason, describeRefusal(chain.reason, facts));
    } else if (chain.kind === "plaintext") {
      this.#servePlaintext(socket, bytes, facts, port, chain.protocol);
    } else if (hello !== null) {
      socket.unshift(bytes);
      this.#next.terminateTls(socket, hello, chain.protocol, (refusal, secured, tls) => {
        try {
          if (refusal !== null || secured === null) {
            this.#refuse(socket, facts, refusal?.reason ?? "tls_closed", refusal?.message ?? "the peer closed");
          } else {
            this.#servePlaintext(secured, null, { ...facts, tls }, port, chain.protocol);
          }
        } catch (cause) {
          socket.destroy();
          this.#parts.defect("inbound_tls", cause);
        }
      });
    }
  }

  #servePlaintext(socket: Socket, bytes: Buffer | null, facts: ConnectionFacts, port: InboundPort, protocol: "http" | "tcp"): void {
    if (protocol === "http") {
      this.#next.http(socket, bytes, facts, port.routing);
      return;
    }
    const verdict = this.#next.authorizeTcp(facts);
    if (!verdict.isAllowed) {
      this.#refuse(socket, facts, "rbac_access_denied", describeDenial(verdict, facts));
      return;
    }
    this.#next.opaque({ socket, firstBytes: bytes, facts, clusters: [{ name: port.spec.cluster, weight: 1 }], service: port.spec.service });
  }

  #refuse(socket: Socket, facts: ConnectionFacts, reason: string, message: string): void {
    this.#next.refused({ remote: facts.remote, local: facts.local, reason, message });
    socket.destroy();
  }
}

function describeRefusal(reason: "plaintext_on_strict_port" | "tls_without_mesh_alpn", facts: ConnectionFacts): string {
  const { port } = facts.local;
  return reason === "plaintext_on_strict_port"
    ? `plaintext to port ${port}, where PeerAuthentication is STRICT`
    : `TLS without an Istio ALPN name to port ${port}, which is declared HTTP: under PERMISSIVE only mesh TLS or plaintext HTTP is served there`;
}

function describeDenial(verdict: AuthorizationVerdict, facts: ConnectionFacts): string {
  const peer = facts.tls?.peer?.spiffeId ?? "a peer without identity";
  const by = verdict.provenance === null ? "no ALLOW rule matches" : `${verdict.provenance.resource}, ${verdict.provenance.file}:${verdict.provenance.line}`;
  return `${peer} may not connect to port ${facts.local.port}: ${by} (${verdict.id})`;
}
