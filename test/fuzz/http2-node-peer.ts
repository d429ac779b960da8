import { connect, createServer, type ClientHttp2Session, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { Duplex } from "node:stream";

/** One end of a pipe in memory: what is written comes out of the other end. */
class PipeEnd extends Duplex {
  other: PipeEnd | null = null;

  override _read(): void {
    // Bytes come by `push` alone.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const { other } = this;
    setImmediate(() => {
      if (other !== null && !other.destroyed) other.push(chunk);
    });
    done();
  }

  override _final(done: () => void): void {
    const { other } = this;
    setImmediate(() => {
      if (other !== null && !other.destroyed) other.push(null);
    });
    done();
  }
}

/** Two ends of a pipe. */
export function pipe(): [Duplex, Duplex] {
  const left = new PipeEnd();
  const right = new PipeEnd();
  left.other = right;
  right.other = left;
  for (const end of [left, right]) end.on("error", () => undefined);
  return [left, right];
}

/** A client of `node:http2` that talks to `far`. */
export function nodeClient(headerTableSize = 4096): { session: ClientHttp2Session; far: Duplex } {
  const [near, far] = pipe();
  const session = connect("http://peer.test", { createConnection: () => near, settings: { headerTableSize } });
  session.on("error", () => undefined);
  return { session, far };
}

/** A server of `node:http2` that talks to `far`. */
export function nodeServer(onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => void, headerTableSize = 4096): { server: Http2Server; far: Duplex; sessions: ServerHttp2Session[] } {
  const [near, far] = pipe();
  const server = createServer({ settings: { headerTableSize } });
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("sessionError", () => undefined);
  server.on("stream", (stream: ServerHttp2Stream, headers, flags, rawHeaders) => {
    stream.on("error", () => undefined);
    onStream(stream, headers, flags, rawHeaders as unknown as string[]);
  });
  server.emit("connection", near);
  return { server, far, sessions };
}
