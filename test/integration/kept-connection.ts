import type { Duplex } from "node:stream";

/** An answer in HTTP/1.1. */
export interface KeptAnswer {
  /** 0: the connection was closed without one. */
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const NO_ANSWER: KeptAnswer = { status: 0, headers: [], body: "" };
const BODILESS = new Set([204, 304]);

/**
 * Sends requests on one connection, one after the other, as they were written, and opens another one when the other side
 * closes it. A request that meets the end of a connection that had answered before is sent again, as any client does.
 */
export class KeptConnection {
  readonly #open: () => Duplex;
  #socket: Duplex | null = null;
  #answered = 0;

  /** `open` gives a new connection to the same peer. */
  constructor(open: () => Duplex) {
    this.#open = open;
  }

  /** `bytes`: a whole request that is not HEAD; the answer must tell its length, or end with the connection. */
  async ask(bytes: string): Promise<KeptAnswer> {
    const isReused = this.#socket !== null;
    const answer = await this.#exchange(bytes);
    return answer.status === 0 && isReused ? this.#exchange(bytes) : answer;
  }

  /** Answers that came on a connection that had been used before. */
  get reused(): number {
    return this.#answered;
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #exchange(bytes: string): Promise<KeptAnswer> {
    const isReused = this.#socket !== null;
    const socket = this.#socket ?? this.#open();
    this.#socket = socket;
    return new Promise((resolve) => {
      let received = "";
      const finish = (answer: KeptAnswer | null, isOver: boolean): void => {
        if (answer === null && !isOver) return;
        socket.removeAllListeners("data").removeAllListeners("end").removeAllListeners("close");
        if (isOver || answer === null || answer.headers.some(([name, value]) => /^connection$/i.test(name) && /close/i.test(value))) this.close();
        if (isReused && answer !== null) this.#answered++;
        resolve(answer ?? NO_ANSWER);
      };
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        finish(wholeAnswer(received, false), false);
      });
      for (const over of ["end", "close"]) socket.on(over, () => finish(wholeAnswer(received, true), true));
      // A reset is told by the close that follows it.
      if (socket.listenerCount("error") === 0) socket.on("error", () => undefined);
      socket.write(bytes, "latin1");
    });
  }
}

/** The answer in `received` once it is whole; null: it is not. */
function wholeAnswer(received: string, isOver: boolean): KeptAnswer | null {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [statusLine = "", ...lines] = received.slice(0, end).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1] ?? 0);
  const headers = lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  const body = bodyOf(headers, BODILESS.has(status), received.slice(end + 4), isOver);
  return body === null ? null : { status, headers, body };
}

function bodyOf(headers: readonly (readonly [string, string])[], isBodiless: boolean, rest: string, isOver: boolean): string | null {
  const valueOf = (wanted: string): string | undefined => headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
  if (isBodiless) return "";
  const length = valueOf("content-length");
  if (length !== undefined) return rest.length >= Number(length) ? rest.slice(0, Number(length)) : null;
  if (valueOf("transfer-encoding") === undefined) return isOver ? rest : null;
  return rest.endsWith("0\r\n\r\n") ? rest.replace(/^[0-9a-f]+\r\n/i, "").replace(/\r\n0\r\n\r\n$|^0\r\n\r\n$/, "") : null;
}
