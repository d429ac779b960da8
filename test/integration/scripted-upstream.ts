import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

import { portOf } from "./mesh-resources.ts";

/**
 * An upstream that answers as it was told, a word for each request: a status; `reset`, `close` and `garbage` after it
 * has read the whole request; `hang`; `half` of an answer; `grpc-N` in the head, `grpc-trailers-N`; `overloaded`;
 * `ratelimited`; `hints-503`.
 */
export class ScriptedUpstream {
  readonly #server: Server;
  readonly #executions = new Map<string, number>();
  #script: string[] = [];
  #always = "200";
  /** Request bodies in the order they came. */
  bodies: string[] = [];

  private constructor() {
    this.#server = createServer({ keepAliveTimeout: 0 }, (request, response) => this.#serve(request, response));
  }

  static async start(): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream();
    await new Promise<void>((resolve) => {
      upstream.#server.listen(0, "127.0.0.1", resolve);
    });
    return upstream;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** What becomes of the next requests; those after them are answered 200. */
  script(...words: readonly string[]): void {
    this.reset();
    this.#script = [...words];
  }

  always(word: string): void {
    this.reset();
    this.#always = word;
  }

  reset(): void {
    this.#script = [];
    this.#always = "200";
    this.bodies = [];
  }

  /** How often the request with this `x-test-id` was executed. */
  executions(id: string): number {
    return this.#executions.get(id) ?? 0;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const id = String(request.headers["x-test-id"]);
    const word = this.#script.shift() ?? this.#always;
    this.#executions.set(id, this.executions(id) + 1);
    let body = "";
    request.setEncoding("latin1");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      this.bodies.push(body);
      this.#answer(word, id, request, response);
    });
  }

  #answer(word: string, id: string, request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // Every attempt has a connection of its own, so that none can be taken for a race with an idle one.
    response.shouldKeepAlive = false;
    if (word === "503-then-hang") {
      if (this.executions(id) === 1) response.writeHead(503).end();
    } else if (word === "reset") socket.resetAndDestroy();
    else if (word === "close") socket.end();
    else if (word === "garbage") socket.end("no HTTP at all\r\n\r\n");
    else if (word === "half") response.writeHead(200, { "content-length": 10 }).write("half");
    else if (word === "overloaded") response.writeHead(503, { "x-envoy-overloaded": "true" }).end();
    else if (word === "ratelimited") response.writeHead(503, { "x-envoy-ratelimited": "true" }).end();
    else if (word === "hints-503") response.writeEarlyHints({ link: "</a>; rel=preload" }, () => response.writeHead(503).end());
    else if (word === "hang-once-then-503") {
      // The first attempt answers at once; the second is still under way when the other request wants to retry.
      if (this.executions(id) === 1) response.writeHead(503).end();
      else setTimeout(() => response.writeHead(503).end(), 200);
    } else if (word.startsWith("grpc-trailers-")) {
      response.writeHead(200, { trailer: "grpc-status" });
      response.addTrailers({ "grpc-status": word.slice(14) });
      response.end();
    } else if (word.startsWith("grpc-")) response.writeHead(200, { "grpc-status": word.slice(5) }).end();
    else if (word !== "hang") response.writeHead(Number(word)).end(word);
  }
}
