import type { Socket } from "node:net";
import type { Http2KeepAliveSpec } from "../config/snapshot.ts";
import type { MultiplexedConnection, MultiplexedConnectionOwner, UpstreamConnection, UpstreamConnectionOwner } from "../message/stream.ts";
import type { ConnectDone, ConnectTarget, Dialing, UpstreamFacts } from "../upstream/connector.ts";

/*
 * What the pools need of the floor below, handed in as functions so that a test can stand in for the network.
 * `Connector`, `Http1Client` and `Http2Client` fit these shapes.
 */

/** `Connector.connect`: connects and calls `done` once, with an error or with a verified socket ready for bytes. */
export type Dial = (target: ConnectTarget, done: ConnectDone) => Dialing;

/** An HTTP/1 connection as the pool keeps it. */
export interface PooledClient extends UpstreamConnection {
  /** `timeout` of the peer's `Keep-Alive` field in milliseconds; null when it sent none. */
  readonly idleLimitMs: number | null;
}

/** Makes the client side of HTTP/1 on a connected socket. It reports to `owner` from then on. */
export type OpenClient = (socket: Socket, facts: UpstreamFacts, owner: UpstreamConnectionOwner) => PooledClient;

/** How a multiplexed connection is to behave. */
export interface MultiplexedOptions {
  /** The peer is an Outrider and the streams are HTTP/1 requests. */
  readonly hop: boolean;
  /** PINGs as configured; null: as the client does by itself. */
  readonly keepAlive: Http2KeepAliveSpec | null;
}

/** Makes the client side of HTTP/2 or of the hop on a connected socket. It reports to `owner` from then on. */
export type OpenMultiplexed = (
  socket: Socket, facts: UpstreamFacts, owner: MultiplexedConnectionOwner, options: MultiplexedOptions,
) => MultiplexedConnection;
