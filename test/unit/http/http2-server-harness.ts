import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Clock } from "../../../src/core/clock.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { Http2Server, type Http2ServerOptions } from "../../../src/http/http2-server.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RawClient, RecordingHandler } from "./http1-server-harness.ts";

const FACTS: ConnectionFacts = {
  isCaptured: false, remote: { address: "127.0.0.1", port: 1 }, local: { address: "192.0.2.1", port: 80 }, tls: null,
};

/** A response as `node:http2` read it. */
export interface NodeResponse {
  headers: IncomingHttpHeaders & { ":status"?: number | undefined };
  trailers: IncomingHttpHeaders | null;
  body: Buffer;
  /** RST_STREAM code; 0 when it ended in order. */
  code: number;
}

/** Collects what comes on a stream of `node:http2` until it closes. */
export async function collect(stream: ClientHttp2Stream): Promise<NodeResponse> {
  const seen: NodeResponse = { headers: {}, trailers: null, body: Buffer.alloc(0), code: 0 };
  const chunks: Buffer[] = [];
  stream.on("response", (headers) => (seen.headers = headers));
  stream.on("trailers", (trailers) => (seen.trailers = trailers));
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", () => undefined);
  await new Promise<void>((resolve) => stream.on("close", () => resolve()));
  return { ...seen, body: Buffer.concat(chunks), code: stream.rstCode };
}

/** A listening socket served by `Http2Server`, and its clients. */
export class Http2ServerHarness {
  readonly handler = new RecordingHandler();
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly servers: Http2Server[] = [];
  readonly sockets: Socket[] = [];
  readonly sessions: ClientHttp2Session[] = [];
  readonly clients: RawClient[] = [];
  readonly #server: Server;

  constructor(options: Partial<Http2ServerOptions> = {}) {
    this.clock = options.clock ?? systemClock;
    this.timers = options.timers ?? new TimerWheel(this.clock);
    this.#server = createServer({ noDelay: true }, (socket) => {
      const server = new Http2Server(socket, FACTS, this.handler, { ...options, clock: this.clock, timers: this.timers });
      this.servers.push(server);
      this.sockets.push(socket);
      server.start();
      this.handler.changed();
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** A client of `node:http2`. */
  session(settings: Parameters<typeof connectHttp2>[1] = {}): ClientHttp2Session {
    const session = connectHttp2(`http://127.0.0.1:${this.port}`, settings as object);
    session.on("error", () => undefined);
    this.sessions.push(session);
    return session;
  }

  /** A client made of bytes. */
  raw(): RawClient {
    const client = new RawClient(this.port);
    this.clients.push(client);
    return client;
  }

  /** A socket that is connected and says nothing by itself. */
  plain(): Socket {
    return connect({ port: this.port, host: "127.0.0.1" });
  }

  close(): void {
    for (const session of this.sessions) session.destroy();
    for (const client of this.clients) client.socket.destroy();
    for (const server of this.servers) server.destroy();
    this.#server.close();
  }
}
