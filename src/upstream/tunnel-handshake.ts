import type { Socket } from "node:net";

import { Http1HeadBuffer } from "../codec/http1-head-buffer.ts";
import { Http1ResponseHeadParser } from "../codec/http1-response-head.ts";
import type { TunnelSpec } from "../config/snapshot-cluster.ts";
import { ProxyError } from "../message/proxy-error.ts";

const MAX_HEAD_BYTES = 16 * 1024;
const MAX_LINES = 100;
const MAX_INFORMATIONAL = 8;
const VERSION = "HTTP/1.";

/** Called once, with the connection to the destination or with why there is none; not at all when the one to the proxy closes first. */
export type TunnelDone = (error: ProxyError | null, socket: Socket | null) => void;

/** A tunnel that is being asked for. */
export interface Tunnel {
  begin(): void;
  /** Why a connection that closed before the proxy answered is of no use. */
  closedEarly(): ProxyError;
}

/** `host:port` as an authority. */
export function tunnelTarget({ targetHost, targetPort }: TunnelSpec): string {
  return `${targetHost.includes(":") ? `[${targetHost}]` : targetHost}:${targetPort}`;
}

/**
 * Asks a forward proxy for a tunnel (RFC 9110 section 9.3.6; `spec/04` 4.8). Then the socket, which is paused, is the
 * connection to the destination.
 */
export class TunnelHandshake implements Tunnel {
  readonly #socket: Socket;
  readonly #target: string;
  readonly #peerName: string;
  readonly #done: TunnelDone;
  readonly #head = new Http1HeadBuffer(MAX_HEAD_BYTES, MAX_LINES);
  readonly #parser = new Http1ResponseHeadParser();
  #informational = 0;

  constructor(socket: Socket, spec: TunnelSpec, peerName: string, done: TunnelDone) {
    this.#socket = socket;
    this.#target = tunnelTarget(spec);
    this.#peerName = peerName;
    this.#done = done;
  }

  begin(): void {
    this.#socket.on("data", this.#onData);
    this.#socket.on("end", this.#onEnd);
    this.#socket.write(`CONNECT ${this.#target} HTTP/1.1\r\nHost: ${this.#target}\r\n\r\n`, "latin1");
  }

  closedEarly(): ProxyError {
    return new ProxyError("connect_failure", `proxy ${this.#peerName} closed the connection before it opened the tunnel to ${this.#target}`);
  }

  readonly #onEnd = (): void => this.#settle(this.closedEarly());

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
    this.#done(null, this.#socket);
  }

  #settle(error: ProxyError): void {
    this.#release();
    this.#done(error, null);
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
