import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Duplex } from "node:stream";

/** A request as some parser read it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

/** What Node's own server made of some bytes. */
export interface NodeReading {
  /** Requests read to their end, in order. */
  readonly requests: readonly ReadRequest[];
  /** Code of the error that ended the reading, or null. */
  readonly error: string | null;
}

/** The far end of nothing: bytes go in by `push`, what is written is dropped. */
class Pipe extends Duplex {
  override _read(): void {
    // Bytes come by `push` alone.
  }

  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done();
  }
}

/** Reads `pieces` with `node:http` (llhttp), strict as it is by default; answers everything with an empty 200. */
export async function readWithNode(pieces: readonly Buffer[]): Promise<NodeReading> {
  const requests: ReadRequest[] = [];
  let error: string | null = null;
  const server = createServer({ maxHeaderSize: 256 * 1024, requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0, connectionsCheckingInterval: 1 << 30 });
  server.maxHeadersCount = 0;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    request.on("error", () => undefined);
    request.on("end", () => {
      if (!request.complete) return;
      const headers: [string, string][] = [];
      for (let index = 0; index < request.rawHeaders.length; index += 2) headers.push([request.rawHeaders[index] as string, request.rawHeaders[index + 1] as string]);
      requests.push({ method: request.method ?? "", target: request.url ?? "", version: request.httpVersion, headers, body });
    });
    response.on("error", () => undefined);
    response.end();
  });
  // The socket is left alone for now: destroying it would take back requests that were read whole before the error.
  server.on("clientError", (cause: NodeJS.ErrnoException) => {
    error ??= cause.code ?? cause.message;
  });
  const pipe = new Pipe();
  pipe.on("error", () => undefined);
  server.emit("connection", pipe);
  for (const piece of pieces) {
    if (pipe.destroyed || error !== null) break;
    pipe.push(Buffer.from(piece));
    await turn();
  }
  // Bodies end some turns after their last byte was parsed; nothing here waits for anything outside.
  for (let index = 0; index < 4; index++) await turn();
  pipe.destroy();
  server.close();
  return { requests, error };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
