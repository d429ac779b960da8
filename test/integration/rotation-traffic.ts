import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";

/** One block of the long-lived connections: a number, then padding that a wrong byte would spoil. */
const BLOCK_BYTES = 512;
const BLOCK_EVERY_MS = 20;
const UPGRADE = "GET /chat HTTP/1.1\r\nHost: %\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** A connection that stays open for the whole of a soak; every block must come back in order. */
export class LongEcho {
  blocks = 0;
  /** Why it is no longer what it was; empty while all is well. */
  failure = "";
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #awaitsSwitch: boolean;
  #sent = 0;
  #received = Buffer.alloc(0);
  #isOver = false;

  /** `host`: over WebSocket's upgrade, to that host; null: bytes as they are. */
  constructor(port: number, host: string | null) {
    this.#awaitsSwitch = host !== null;
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("error", (error) => this.#fail(error.message));
    this.#socket.on("close", () => this.#fail("closed"));
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    if (host !== null) this.#socket.write(UPGRADE.replace("%", host));
    this.#timer = setInterval(() => this.#send(), BLOCK_EVERY_MS);
  }

  /** Waits for what is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (let waited = 0; waited < 5_000 && this.blocks < this.#sent && this.failure === ""; waited += 5) {
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
    }
    if (this.blocks < this.#sent) this.#fail(`${this.#sent - this.blocks} blocks did not come back`);
    this.#isOver = true;
    this.#socket.destroy();
  }

  #send(): void {
    // What the other end has not read yet is not heaped up: the soak is about connections, not about throughput.
    if (this.#awaitsSwitch || this.#sent - this.blocks > 50) return;
    this.#socket.write(block(this.#sent));
    this.#sent++;
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.#awaitsSwitch) {
      const end = this.#received.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (!this.#received.toString("latin1").startsWith("HTTP/1.1 101 ")) this.#fail(this.#received.toString("latin1", 0, 100));
      this.#received = this.#received.subarray(end + 4);
      this.#awaitsSwitch = false;
    }
    while (this.#received.length >= BLOCK_BYTES) {
      if (!this.#received.subarray(0, BLOCK_BYTES).equals(block(this.blocks))) this.#fail(`block ${this.blocks} came back as another`);
      this.#received = this.#received.subarray(BLOCK_BYTES);
      this.blocks++;
    }
  }

  #fail(reason: string): void {
    if (!this.#isOver && this.failure === "") this.failure = `after ${this.blocks} blocks: ${reason}`;
  }
}

function block(number: number): Buffer {
  return Buffer.from(`${number} `.padEnd(BLOCK_BYTES, String(number % 10)), "latin1");
}

/** Requests over one HTTP/2 connection, a few at a time, for as long as a test works on the proxy. */
export class Http2Load {
  answered = 0;
  readonly failures: string[] = [];
  readonly #session: ClientHttp2Session;
  readonly #workers: Promise<void>[];
  readonly #host: string;
  #isOver = false;

  constructor(port: number, host: string, workers = 3) {
    this.#host = host;
    this.#session = connectHttp2(`http://127.0.0.1:${port}`);
    this.#session.on("error", (error: Error) => this.failures.push(`connection: ${error.message}`));
    this.#session.on("goaway", () => this.failures.push("connection: going away"));
    this.#session.on("close", () => {
      if (!this.#isOver) this.failures.push("connection: closed");
    });
    this.#workers = Array.from({ length: workers }, () => this.#work());
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
    this.#session.destroy();
  }

  async #work(): Promise<void> {
    while (!this.#isOver && !this.#session.destroyed) {
      const failure = await this.#ask();
      if (failure === "") this.answered++;
      else this.failures.push(failure);
      await new Promise(setImmediate);
    }
  }

  #ask(): Promise<string> {
    return new Promise((resolve) => {
      let status = 0;
      let body = "";
      const stream = this.#session.request({ ":method": "POST", ":path": "/", ":authority": this.#host });
      stream.setEncoding("latin1");
      stream.on("response", (headers) => (status = headers[":status"] ?? 0));
      stream.on("data", (text: string) => (body += text));
      stream.on("error", (error: Error) => resolve(error.message));
      stream.on("end", () => resolve(status === 200 && body === "echo" ? "" : `${status} ${body}`));
      stream.end("echo");
    });
  }
}
