import { rawServer } from "../integration/proxy-under-test.ts";
import { RawHttp2, type RawStream } from "./raw-http2.ts";

/** What a backend does with a request; `request` is its stream so far. */
export type Http2Answer = (peer: RawHttp2, streamId: number, request: RawStream) => void;

export const answerOk2: Http2Answer = (peer, streamId) => {
  peer.headers(streamId, [[":status", "200"], ["content-length", "2"]], false);
  peer.data(streamId, "ok", true);
};

/** An HTTP/2 application made of raw frames; it answers a request when its head has come. */
export class RawHttp2Backend {
  peers: RawHttp2[] = [];
  answer: Http2Answer = answerOk2;
  settings: readonly (readonly [number, number])[] = [];
  /** Called for each new connection, behind its settings. */
  onPeer: (peer: RawHttp2) => void = () => undefined;
  readonly #server: Awaited<ReturnType<typeof rawServer>>;

  private constructor(server: Awaited<ReturnType<typeof rawServer>>) {
    this.#server = server;
  }

  static async listen(): Promise<RawHttp2Backend> {
    let backend: RawHttp2Backend | null = null;
    const server = await rawServer((socket) => {
      socket.setNoDelay(true);
      backend?.accept(RawHttp2.server(socket, ...backend.settings));
    });
    backend = new RawHttp2Backend(server);
    return backend;
  }

  get port(): number {
    return this.#server.port;
  }

  /** Paths of all requests that came, in order. */
  get paths(): string[] {
    return this.peers.flatMap((peer) => [...peer.streams.values()].flatMap((stream) => stream.field(":path") ?? []));
  }

  /** Begins anew: connections are closed. */
  reset(): void {
    for (const peer of this.peers) peer.socket.destroy();
    this.peers = [];
    this.answer = answerOk2;
    this.settings = [];
    this.onPeer = () => undefined;
  }

  close(): void {
    this.#server.close();
  }

  accept(peer: RawHttp2): void {
    this.peers.push(peer);
    this.onPeer(peer);
    peer.onRequest = (streamId, stream) => {
      if (stream.blocks.length === 1) this.answer(peer, streamId, stream);
    };
  }
}
