import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

import type { DevelopmentCa } from "../../src/identity/development-ca.ts";
import { testCa } from "./proxy-under-test.ts";

export interface HboneClientOptions {
  /** Null: no client certificate. */
  readonly spiffeId?: string | null;
  readonly alpn?: readonly string[];
  /** Of its certificate; default: months. */
  readonly lifetimeMs?: number;
  /** Who issues it; default: the CA of the tests. */
  readonly ca?: DevelopmentCa;
}

/** A tunnel as its caller has it. */
export interface Tunnel {
  readonly status: number;
  readonly stream: ClientHttp2Stream;
}

/** An ambient peer: Node's own HTTP/2 client over mutual TLS, which opens tunnels. */
export class HboneClient {
  readonly session: ClientHttp2Session;
  readonly socket: TLSSocket;
  /** Why the connection was lost; empty while it was not. */
  error = "";
  isClosed = false;

  constructor(port: number, options: HboneClientOptions = {}) {
    const { spiffeId = "spiffe://cluster.local/ns/default/sa/ambient", alpn = ["h2"], lifetimeMs, ca = testCa } = options;
    const issued = spiffeId === null ? null : ca.issue(spiffeId, lifetimeMs === undefined ? {} : { lifetimeMs });
    this.socket = connectTls({
      host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: [...alpn],
      ...(issued === null ? {} : { cert: issued.certificateChainPem, key: issued.privateKeyPem }),
    });
    this.session = connect("https://127.0.0.1", { createConnection: () => this.socket });
    this.session.on("error", (error: Error) => (this.error = error.message));
    this.socket.on("close", () => (this.isClosed = true));
  }

  /** Asks for a tunnel and waits for the answer; rejects when the stream is reset or the connection lost. */
  open(authority: string, headers: Readonly<Record<string, string>> = {}): Promise<Tunnel> {
    const stream = this.session.request({ ":method": "CONNECT", ":authority": authority, ...headers }, { endStream: false });
    return answerOf(stream);
  }

  /** Any other request. */
  async ask(headers: Readonly<Record<string, string>>): Promise<number> {
    const { stream, status } = await answerOf(this.session.request(headers));
    stream.close(constants.NGHTTP2_CANCEL);
    return status;
  }

  close(): void {
    this.session.destroy();
  }
}

/** For clients that want a socket. */
export function asSocket({ stream }: Tunnel): Socket {
  return stream as unknown as Socket;
}

function answerOf(stream: ClientHttp2Stream): Promise<Tunnel> {
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("close", () => reject(new Error("closed without an answer")));
    stream.on("response", (head) => resolve({ status: head[":status"] ?? 0, stream }));
  });
}
