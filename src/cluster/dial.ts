import type { Socket } from "node:net";
import type { UpstreamTlsSpec } from "../config/snapshot.ts";
import type { SocketAddress } from "../message/connection-facts.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { UpstreamConnection, UpstreamConnectionOwner } from "../message/stream.ts";

/*
 * What the pools need of the floor below, handed in as functions so that a test can stand in for the network.
 * `upstream/connector.ts` and `upstream/http1-client.ts` fit these shapes.
 */

/** Where to connect and what to verify there. */
export interface DialTarget {
  readonly address: string;
  readonly port: number;
  readonly fromLoopbackSource: boolean;
  /** 0: no limit. */
  readonly connectTimeoutMs: number;
  /** Null: plaintext. */
  readonly tls: UpstreamTlsSpec | null;
  readonly alpn: readonly string[];
}

/** What a finished dial knows of its connection. */
export interface DialFacts {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** SPIFFE ID the peer proved; null on plaintext. */
  readonly peerSpiffeId: string | null;
  readonly alpn: string | null;
  /** Generation of identity and trust that the handshake was made under; of no meaning on plaintext. */
  readonly generation: number;
}

/** A dial under way. */
export interface Dialing {
  /** Gives it up; `done` is not called any more. */
  cancel(): void;
}

/** Connects to `target`; calls `done` once, with an error or with a socket that is ready for bytes. */
export type Dial = (
  target: DialTarget,
  done: (error: ProxyError | null, socket: Socket | null, facts: DialFacts | null) => void,
) => Dialing;

/** An HTTP/1 connection as the pool keeps it. */
export interface PooledClient extends UpstreamConnection {
  /** `timeout` of the peer's `Keep-Alive` field in milliseconds; null when it sent none. */
  readonly idleLimitMs: number | null;
}

/** Makes the client side of HTTP/1 on a connected socket. It reports to `owner` from then on. */
export type OpenClient = (socket: Socket, facts: DialFacts, owner: UpstreamConnectionOwner) => PooledClient;
