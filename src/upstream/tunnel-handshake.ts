import type { Socket } from "node:net";

import { Http1HeadBuffer } from "../codec/http1-head-buffer.ts";
import { Http1ResponseHeadParser } from "../codec/http1-response-head.ts";
import type { TunnelSpec } from "../config/snapshot-cluster.ts";
import { ProxyError } from "../message/proxy-error.ts";

const MAX_HEAD_BYTES = 16 * 1024;
const MAX_LINES = 100;
const MAX_INFORMATIONAL = 8;
const VERSION = "HTTP/1.";

/**
 * Asks a forward proxy for a tunnel (RFC 9110 section 9.3.6; `spec/04` 4.8). `done` is called once unless the socket closes
 * first, of which its owner hears by itself: with null the socket is paused and what comes next on it is the destination's.
 */
export class TunnelHandshake {
  readonly #socket: Socket;
  readonly #target: string;
  readonly #protocol: TunnelSpec["protocol"];
  readonly #peerName: string;
  readonly #done: (error: ProxyError | null) => void;
  readonly #head = new Http1HeadBuffer(MAX_HEAD_BYTES, MAX_LINES);
  readonly #parser = new Http1ResponseHeadParser();
  #informational = 0;

  constructor(socket: Socket, { protocol, targetHost, targetPort }: TunnelSpec, peerName: string, done: (error: ProxyError | null) => void) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#target = `${targetHost.includes(":") ? `[${targetHost}]` : targetHost}:${targetPort}`;
    this.#peerName = peerName;
    this.#done = done;
  }

  begin(): void {
    if (this.#protocol !== "CONNECT") {
      this.#done(new ProxyError("connect_failure", `a tunnel to ${this.#target} by ${this.#protocol} is not supported`));
      return;
    }
    this.#socket.on("data", this.#onData);
    this.#socket.on("end", this.#onEnd);
    this.#socket.write(`CONNECT ${this.#target} HTTP/1.1\r\nHost: ${this.#target}\r\n\r\n`, "latin1");
  }

  /** Why a connection that closed before the proxy answered is of no use. */
  closed(): ProxyError {
    return new ProxyError("connect_failure", `proxy ${this.#peerName} closed the connection before it opened the tunnel to ${this.#target}`);
  }

  readonly #onEnd = (): void => this.#settle(this.closed());

  readonly #onData = (chunk: Buffer): void => {
    try {
      this.#read(chunk);
    } catch (error) {
      const reason = error instanceof ProxyError ? error.reason : String(error);
      this.#settle(new ProxyError("connect_failure", `proxy ${this.#peerName} gave no answer that makes sense: ${reason}`));
    }
  };

  #read(chunk: Buffer): void {
    let offset = 0;
    for (;;) {
      offset = this.#head.take(chunk, offset);
      if (offset < 0) {
        checkBeginning(this.#head.part);
        return;
      }
      const { status } = this.#parser.parse(this.#head, "CONNECT");
      if (status >= 200) {
        this.#answered(status, chunk.subarray(offset));
        return;
      }
      if (status === 101 || ++this.#informational > MAX_INFORMATIONAL) throw new ProxyError("upstream_protocol", `an informational ${status}`);
      if (offset >= chunk.length) return;
    }
  }

  #answered(status: number, rest: Buffer): void {
    if (status >= 300) {
      this.#settle(new ProxyError("connect_failure", `proxy ${this.#peerName} refused the tunnel to ${this.#target}: ${status}`));
      return;
    }
    this.#release();
    if (rest.length > 0) this.#socket.unshift(rest);
    this.#done(null);
  }

  #settle(error: ProxyError): void {
    this.#release();
    this.#done(error);
  }

  #release(): void {
    this.#socket.pause();
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
  }
}

/** Who speaks another protocol says its greeting and then waits, and so would the connection. */
function checkBeginning(part: Buffer): void {
  if (!VERSION.startsWith(part.toString("latin1", 0, VERSION.length))) throw new ProxyError("upstream_protocol", "it does not speak HTTP/1");
}
