import type { ConnectionFacts } from "./connection-facts.ts";
import type { HttpVersion, RequestHead, ResponseHead } from "./head.ts";
import type { HeaderList } from "./header-list.ts";
import type { ProxyError } from "./proxy-error.ts";

/*
 * The codec seam: what the path knows of a stream, whichever HTTP version carries it. Calls, not promises: a chunk
 * goes from the socket it was read on to the socket it is written to in one call stack.
 *
 * Rules every implementation keeps (test/contract/):
 * - A receiver gets `head` (responses) once, `data` any number of times, then exactly one of `end` or `reset`, and
 *   nothing after that.
 * - `write` returns false when more than the watermark is buffered; the writer then pauses its source and waits for
 *   `drain`. Data written in spite of that is still sent.
 * - `reset` on a stream is silent towards its own receiver: who cuts knows.
 * - After `end` or `reset` was called or received in both directions, calls on the stream do nothing.
 */

/** The downstream side of one stream: what may be said to the peer that sent the request. */
export interface DownstreamStream {
  readonly connection: ConnectionFacts;
  /** Relays an informational response (1xx other than 101). */
  informational(head: ResponseHead): void;
  /** Starts the response, once. `end` true: no body follows. Status 101 turns the stream into a tunnel. */
  respond(head: ResponseHead, end: boolean): void;
  /** A piece of the response body. */
  write(chunk: Buffer): boolean;
  /** Ends the response. */
  end(trailers: HeaderList | null): void;
  /** Cuts the stream in a way the peer can tell from a whole message. */
  reset(error: ProxyError): void;
  /** Stops reading the request body. */
  pause(): void;
  resume(): void;
}

/** Receives what the downstream peer sends after the request head. */
export interface RequestReceiver {
  data(chunk: Buffer): void;
  end(trailers: HeaderList | null): void;
  /** The downstream socket took what was buffered. */
  drain(): void;
  /** The peer went away or broke the protocol. */
  reset(error: ProxyError): void;
}

/** What a downstream codec hands its messages to. */
export interface HttpHandler {
  /** A request began. `end` true: it has no body, and no `data` or `end` will follow. */
  request(head: RequestHead, end: boolean, stream: DownstreamStream): RequestReceiver;
  /** A head could not be read, or the connection broke a rule; the codec has answered, or cut, and closed what it had to. */
  malformed(error: ProxyError, connection: ConnectionFacts, version: HttpVersion): void;
  /** The connection is gone. */
  closed(): void;
}

/** The upstream side of one stream. */
export interface UpstreamStream {
  write(chunk: Buffer): boolean;
  /** Ends the request. */
  end(trailers: HeaderList | null): void;
  /** Gives the request up; the receiver hears nothing more. */
  reset(): void;
  /** Stops reading the response body. */
  pause(): void;
  resume(): void;
}

/** Receives what the upstream peer answers. */
export interface ResponseReceiver {
  informational(head: ResponseHead): void;
  /** The final response head; with status 101 the stream is a tunnel from here on. */
  head(head: ResponseHead, end: boolean): void;
  data(chunk: Buffer): void;
  end(trailers: HeaderList | null): void;
  /** The upstream socket took what was buffered. */
  drain(): void;
  reset(error: ProxyError): void;
}

/** An upstream connection able to carry a request now. */
export interface UpstreamConnection {
  /** True when it carried a request before: its peer may have closed it without our knowing yet. */
  readonly isReused: boolean;
  /** Sends a request head. `end` true: no body follows. */
  request(head: RequestHead, end: boolean, receiver: ResponseReceiver): UpstreamStream;
  /** Closes it once the stream under way, if any, is done. */
  retire(): void;
  /** Closes it at once. */
  destroy(): void;
}

/** Told by a connection about its life; the pool is one. */
export interface UpstreamConnectionOwner {
  /** The stream is done and the connection may carry another. */
  idle(connection: UpstreamConnection): void;
  /** The connection is closed or may not be used again. Called once. */
  closed(connection: UpstreamConnection): void;
}

/** An upstream connection that carries many requests at once: HTTP/2, and the hop between two Outriders. */
export interface MultiplexedConnection extends UpstreamConnection {
  /** Streams under way. */
  readonly activeStreams: number;
  /**
   * Streams there may be at once, as far as the peer has said; a cautious guess until it has. 0: none for the time being.
   */
  readonly maxStreams: number;
  /** Another stream may begin now. False for good once it is going away or closed. */
  readonly canTake: boolean;
  /** More waits for its socket than the watermark allows: it cannot keep up with what its streams send. */
  readonly isBackedUp: boolean;
}

/**
 * Told by a multiplexed connection about its life; the pool is one. A stream that the peer has provably not processed
 * (REFUSED_STREAM, or above the last id of a GOAWAY) is reset with `refused_stream`, after `goingAway` where that is why.
 */
export interface MultiplexedConnectionOwner {
  /** More streams may begin than before: one ended, or the peer raised its limit. Not called once it is going away. */
  capacityGrew(connection: MultiplexedConnection): void;
  /**
   * It takes no further streams (GOAWAY, stream ids used up, a keep-alive PING without answer); those under way go on.
   * It closes by itself after the last of them. At most once.
   */
  goingAway(connection: MultiplexedConnection): void;
  /** It is closed, and `canTake` false. Called once, before its streams hear of it. */
  closed(connection: MultiplexedConnection): void;
}
