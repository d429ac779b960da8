import type { Socket } from "node:net";
import { Duplex } from "node:stream";

import { DEFAULT_HTTP1_LIMITS } from "../codec/http1-limits.ts";
import { Http1ResponseParser, type Http1ResponseSink } from "../codec/http1-response-parser.ts";
import type { TunnelSpec } from "../config/snapshot-cluster.ts";
import { resetConnection } from "../core/reset-connection.ts";
import type { ResponseHead } from "../message/head.ts";
import { ProxyError } from "../message/proxy-error.ts";
import { type Tunnel, type TunnelDone, tunnelTarget } from "./tunnel-handshake.ts";

/**
 * A tunnel in the bodies of one POST, chunked both ways, for forward proxies that know no CONNECT (`spec/04` 4.8, Envoy's
 * `use_post`). It is the connection to the destination: ending it ends the request's body, the end of the response is the
 * destination's, and a connection that breaks is a reset.
 *
 * Of `net.Socket` it has what is used of connections to upstreams.
 */
export class PostTunnel extends Duplex implements Http1ResponseSink, Tunnel {
  readonly #transport: Socket;
  readonly #target: string;
  readonly #peerName: string;
  readonly #done: TunnelDone;
  readonly #parser = new Http1ResponseParser(this, DEFAULT_HTTP1_LIMITS);
  #isOpen = false;
  #onWritten: (() => void) | null = null;

  constructor(transport: Socket, spec: TunnelSpec, peerName: string, done: TunnelDone) {
    super({ allowHalfOpen: true });
    this.#transport = transport;
    this.#target = tunnelTarget(spec);
    this.#peerName = peerName;
    this.#done = done;
    // A connection that breaks while nobody listens must not end the process.
    this.on("error", ignore);
  }

  begin(): void {
    const transport = this.#transport;
    transport.on("data", (chunk: Buffer) => this.#onData(chunk));
    transport.on("drain", () => this.#onDrain());
    transport.on("end", () => this.#onEnd());
    transport.on("error", (error: Error) => this.destroy(error));
    transport.on("close", () => this.#onEnd());
    this.#parser.expect("POST", null);
    transport.write(`POST / HTTP/1.1\r\nHost: ${this.#target}\r\nTransfer-Encoding: chunked\r\n\r\n`, "latin1");
  }

  closedEarly(): ProxyError {
    return new ProxyError("connect_failure", `proxy ${this.#peerName} closed the connection before it opened the tunnel to ${this.#target}`);
  }

  /** Closes it so that the destination cannot take what it got for all there was. */
  resetAndDestroy(): this {
    resetConnection(this.#transport);
    return this.destroy();
  }

  // === The response ===

  onInformational(): void {
    // The final answer is still to come.
  }

  onResponseHead({ status }: ResponseHead, hasBody: boolean): void {
    if (status < 200 || status >= 300) {
      this.#refuse(`refused the tunnel to ${this.#target}: ${status}`);
      return;
    }
    this.#isOpen = true;
    this.#done(null, this as unknown as Socket);
    if (!hasBody) this.push(null);
  }

  onBodyData(chunk: Buffer): void {
    if (!this.push(chunk)) this.#transport.pause();
  }

  onBodyEnd(): void {
    this.push(null);
  }

  onMalformed(error: ProxyError): void {
    if (this.#isOpen) this.destroy(error);
    else this.#refuse(`gave no answer that makes sense: ${error.reason}`);
  }

  // === What a stream of Node asks of its maker ===

  override _read(): void {
    this.#transport.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const transport = this.#transport;
    transport.cork();
    transport.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    transport.write(chunk);
    const hasRoom = transport.write("\r\n", "latin1");
    transport.uncork();
    if (hasRoom) callback();
    else this.#onWritten = callback;
  }

  override _final(callback: () => void): void {
    this.#transport.write("0\r\n\r\n", "latin1", () => callback());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#parser.stop();
    if (error === null && this.readableEnded && this.writableFinished) this.#transport.destroySoon();
    else this.#transport.destroy();
    callback(error);
  }

  // === The connection to the proxy ===

  #onData(chunk: Buffer): void {
    if (!this.destroyed && this.#parser.push(chunk) < chunk.length) this.onMalformed(new ProxyError("upstream_protocol", "bytes behind the end of the response"));
  }

  #onDrain(): void {
    const onWritten = this.#onWritten;
    this.#onWritten = null;
    onWritten?.();
  }

  /** A response that ends with its connection has ended; any other was cut. Before there was one, the dial hears of it by itself. */
  #onEnd(): void {
    if (!this.#isOpen || this.readableEnded || this.#parser.isIdle || this.#parser.endOfConnection()) return;
    this.destroy(Object.assign(new Error("the tunnel's connection was closed"), { code: "ECONNRESET" }));
  }

  #refuse(what: string): void {
    this.#parser.stop();
    this.#done(new ProxyError("connect_failure", `proxy ${this.#peerName} ${what}`), null);
  }
}

function ignore(): void {
  // Its owner hears of the end by `close`.
}
