import { createServer, type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, type Server, type ServerResponse } from "node:http";

import { portOf } from "./mesh-resources.ts";

/** What the authorizer was asked. */
export interface AskedQuestion {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What it says: an answer, or something else to do with the connection. */
export type Say = { readonly status: number; readonly headers?: OutgoingHttpHeaders; readonly body?: string | Buffer } | ((response: ServerResponse, request: IncomingMessage) => void);

/** An external authorizer over HTTP, of Node's own server: says what the test wants, and remembers what it was asked. */
export class HttpAuthorizer {
  readonly #server: Server;
  /** Stays what it was when the server has stopped. */
  port = 0;
  readonly questions: AskedQuestion[] = [];
  /** Questions whose connection was closed before the answer. */
  abandoned = 0;
  says: (question: AskedQuestion) => Say = () => ({ status: 200 });

  private constructor() {
    this.#server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, (request, response) => this.#serve(request, response));
  }

  static async start(): Promise<HttpAuthorizer> {
    const authorizer = new HttpAuthorizer();
    await new Promise<void>((resolve) => {
      authorizer.#server.listen(0, "127.0.0.1", resolve);
    });
    authorizer.port = portOf(authorizer.#server);
    return authorizer;
  }

  get last(): AskedQuestion {
    const question = this.questions.at(-1);
    if (question === undefined) throw new Error("nobody asked");
    return question;
  }

  /** It allows everything and has forgotten what it was asked. */
  reset(): void {
    this.questions.length = 0;
    this.abandoned = 0;
    this.says = () => ({ status: 200 });
  }

  /** Closes connections that are idle, as a server does that restarts. */
  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("error", () => undefined);
    response.on("close", () => {
      if (!response.writableFinished) this.abandoned++;
    });
    request.on("end", () => {
      const question = { method: request.method ?? "", path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks).toString("latin1") };
      this.questions.push(question);
      const say = this.says(question);
      if (typeof say === "function") say(response, request);
      else response.writeHead(say.status, say.headers).end(say.body);
    });
  }
}
