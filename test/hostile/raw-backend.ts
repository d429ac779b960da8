import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** One connection the proxy opened to the backend, with every byte that came on it. */
export class RawConnection {
  readonly socket: Socket;
  received = "";
  receivedBytes = 0;
  hasEnded = false;
  isClosed = false;
  /** Closed by a reset rather than in order. */
  wasReset = false;
  /** Where in `received` the request not yet answered begins. */
  answeredTo = 0;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** Keeps only what is not answered yet, on a connection that is to carry more than its record holds. */
  forgetAnswered(): void {
    this.received = this.received.slice(this.answeredTo);
    this.answeredTo = 0;
  }

  /** True when the proxy has let go of it in whichever way. */
  get isGone(): boolean {
    return this.hasEnded || this.isClosed;
  }
}

/** What a backend does with a complete request; `request` is its raw text. */
export type Answer = (connection: RawConnection, request: string) => void;

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

export const answerOk: Answer = (connection) => {
  connection.socket.write(OK);
};

/**
 * A server that keeps the bytes of every upstream connection as they came, so that a test can say what another
 * parser would have read. Its own idea of where a request ends is deliberately plain: the first empty line, then
 * Content-Length or the last chunk.
 */
export class RawBackend {
  connections: RawConnection[] = [];
  answer: Answer = answerOk;
  /** Called for every piece of data before `answer` is considered; true: the piece was dealt with. */
  onData: (connection: RawConnection, chunk: Buffer) => boolean = () => false;
  /** Called for every new connection. */
  onConnection: (connection: RawConnection) => void = () => undefined;
  readonly #server: Server;
  readonly #all = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onSocket(socket));
  }

  static async listen(): Promise<RawBackend> {
    const backend = new RawBackend();
    await new Promise<void>((resolve) => {
      backend.#server.listen(0, "127.0.0.1", resolve);
    });
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections open now. */
  get openCount(): number {
    return this.#all.size;
  }

  /** All bytes received since `forget`, connection after connection. */
  get received(): string {
    return this.connections.map((connection) => connection.received).join("");
  }

  /** Forgets what was received; connections that are open are kept and record on. */
  forget(): void {
    this.connections = this.connections.filter((connection) => !connection.isClosed);
    for (const connection of this.connections) {
      connection.received = "";
      connection.receivedBytes = 0;
      connection.answeredTo = 0;
    }
    this.answer = answerOk;
    this.onData = () => false;
    this.onConnection = () => undefined;
  }

  /** Closes the connections but goes on listening. */
  cutConnections(): void {
    for (const socket of this.#all) socket.destroy();
  }

  close(): void {
    this.#server.close();
    this.cutConnections();
  }

  #onSocket(socket: Socket): void {
    const connection = new RawConnection(socket);
    this.connections.push(connection);
    this.#all.add(socket);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      connection.wasReset = error.code === "ECONNRESET";
    });
    socket.on("close", () => {
      connection.isClosed = true;
      this.#all.delete(socket);
    });
    socket.on("end", () => {
      connection.hasEnded = true;
      socket.end();
    });
    socket.on("data", (chunk: Buffer) => this.#onData(connection, chunk));
    this.onConnection(connection);
  }

  #onData(connection: RawConnection, chunk: Buffer): void {
    connection.receivedBytes += chunk.length;
    if (connection.received.length < 1_000_000) connection.received += chunk.toString("latin1");
    if (this.onData(connection, chunk)) return;
    const rest = connection.received.slice(connection.answeredTo);
    const length = requestLength(rest);
    if (length < 0) return;
    connection.answeredTo += length;
    this.answer(connection, rest.slice(0, length));
  }
}

/** Length of the first request in `text`, or -1 when it is not whole. */
export function requestLength(text: string): number {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return -1;
  const head = text.slice(0, headEnd);
  const bodyAt = headEnd + 4;
  if (/\r\ntransfer-encoding:/i.test(head)) {
    const last = /(?:^|\r\n)0\r\n(?:[^\r]+\r\n)*\r\n/.exec(text.slice(bodyAt));
    return last === null ? -1 : bodyAt + last.index + last[0].length;
  }
  const length = bodyAt + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
  return text.length < length ? -1 : length;
}
