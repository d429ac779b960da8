import type { Socket } from "node:net";
import type { UpstreamConnection, UpstreamConnectionOwner } from "../message/stream.ts";
import type { ConnectDone, ConnectTarget, Dialing, UpstreamFacts } from "../upstream/connector.ts";

/*
 * What the pools need of the floor below, handed in as functions so that a test can stand in for the network.
 * `Connector` and `Http1Client` fit these shapes.
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
