import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What one end of a connection read, and how it ended. */
export class Peer {
  readonly socket: Socket;
  received = "";
  hasEnded = false;
  isClosed = false;
  error: string | null = null;
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.toString("latin1");
      this.#wake();
    });
    socket.on("end", () => {
      this.hasEnded = true;
      this.#wake();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  /** Resolves when `condition` holds after some event of this end. */
  async until(condition: (peer: Peer) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** Real connections over loopback, both ends in this process. */
export class SocketPairs {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  readonly #accepted: ((socket: Socket) => void)[] = [];

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      socket.on("error", () => undefined);
      this.#sockets.push(socket);
      this.#accepted.shift()?.(socket);
    });
  }

  static async open(): Promise<SocketPairs> {
    const pairs = new SocketPairs();
    pairs.#server.listen(0, "127.0.0.1");
    await once(pairs.#server, "listening");
    return pairs;
  }

  /** `near` is ours, as a listener accepts it: paused, with a listener for errors. `far` is whoever connected to it. */
  async connect(): Promise<{ readonly near: Socket; readonly far: Peer }> {
    const accepted = new Promise<Socket>((resolve) => this.#accepted.push(resolve));
    const socket = connect({ host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port, allowHalfOpen: true, noDelay: true });
    this.#sockets.push(socket);
    const far = new Peer(socket);
    await once(socket, "connect");
    return { near: await accepted, far };
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
