import {
  type ClientHttp2Session, type ClientHttp2Stream, connect, constants, createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";

import { portOf } from "./mesh-resources.ts";

/** A server of gRPC's kind, on Node's HTTP/2: messages are whatever bytes the test writes. */
export class GrpcApplication {
  readonly #server: Http2Server;
  readonly #sessions = new Set<{ destroy(): void }>();
  /** What the next calls meet. */
  handle: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void = () => undefined;

  private constructor() {
    this.#server = createServer();
    this.#server.on("session", (session) => this.#sessions.add(session));
    this.#server.on("stream", (stream: ServerHttp2Stream, headers) => {
      // A cancelled call is an error of its stream.
      stream.on("error", () => undefined);
      this.handle(stream, headers);
    });
  }

  static async start(): Promise<GrpcApplication> {
    const application = new GrpcApplication();
    await new Promise<void>((resolve) => {
      application.#server.listen(0, "127.0.0.1", resolve);
    });
    return application;
  }

  get port(): number {
    return portOf(this.#server);
  }

  stop(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }
}

/** Begins an answer that ends with this status in its trailers. */
export function beginAnswer(stream: ServerHttp2Stream, grpcStatus: number): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": String(grpcStatus) }));
}

export interface GrpcAnswer {
  readonly head: IncomingHttpHeaders;
  /** The head was all: "trailers-only". */
  readonly isHeadOnly: boolean;
  readonly body: string;
  readonly trailers: IncomingHttpHeaders | null;
  /** HTTP/2's error code; 0: it ended in order. */
  readonly resetCode: number;
}

/** Calls over one connection, with Node's own HTTP/2. */
export class GrpcClient {
  readonly #session: ClientHttp2Session;

  constructor(socket: Socket) {
    this.#session = connect("http://reviews:9080", { createConnection: () => socket });
    this.#session.on("error", () => undefined);
  }

  /** Begins a call; its request is open. */
  call(headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.#session.request({
      ":method": "POST", ":path": "/pkg.Service/Method", "content-type": "application/grpc", te: "trailers", ...headers,
    }, { endStream: false });
    stream.on("error", () => undefined);
    return stream;
  }

  stop(): void {
    this.#session.destroy();
  }
}

/** Resolves when the call is over, however it ended. */
export function answerOf(stream: ClientHttp2Stream): Promise<GrpcAnswer> {
  return new Promise((resolve) => {
    let head: IncomingHttpHeaders = {};
    let isHeadOnly = false;
    let trailers: IncomingHttpHeaders | null = null;
    let body = "";
    stream.on("response", (headers, flags) => {
      head = headers;
      isHeadOnly = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    });
    stream.on("trailers", (fields) => (trailers = fields));
    stream.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    stream.on("close", () => resolve({ head, isHeadOnly, body, trailers, resetCode: stream.rstCode ?? 0 }));
  });
}
