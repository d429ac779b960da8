import { chmodSync } from "node:fs";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { ListenOptions, Socket } from "node:net";
import { removeLeftBehindSocket } from "./left-behind-socket.ts";
import { isLoopbackOrigin, namesLoopbackHost } from "./loopback-host.ts";
import type { RequestGuard } from "./request-guard.ts";

/** A whole response. */
export interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called once when the page was sent, or nobody is there to take it. */
  readonly sent?: () => void;
}

/** One path of an endpoint. `handle` may wait; a failure becomes 500 with its message. */
export interface PageRoute {
  /** One that ends in `/*` stands for all paths below it. */
  readonly path: string;
  readonly method: "GET" | "POST";
  readonly help: string;
  /** Asked in place of the endpoint's. */
  readonly guard?: RequestGuard;
  /** `rest`: what stands in place of the star of the path. */
  handle(query: URLSearchParams, rest: string): Page | Promise<Page>;
}

export interface EndpointOptions {
  /** True: only requests that name a loopback host, and none a foreign web page made, are answered. */
  readonly isLoopbackOnly: boolean;
  /** Asked before GET is answered; null: whoever reaches the endpoint may. */
  readonly reads: RequestGuard | null;
  /** Asked before anything but GET is answered; null: as above. */
  readonly writes: RequestGuard | null;
}

/** One more closes the oldest, so that whoever holds them keeps nobody from being answered: the kubelet's next probe is. */
const MAX_CONNECTIONS = 64;
const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
/** How often the two above are looked after; Node's own choice is half a minute. */
const TIMEOUT_CHECK_MS = 5000;
/** For who neither sends nor takes anything. */
const IDLE_TIMEOUT_MS = 10_000;

/** A text/plain page. */
export function textPage(status: number, body: string): Page {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

/** A JSON page, indented for people. Numbers without end read "unlimited". */
export function jsonPage(value: unknown): Page {
  const body = JSON.stringify(value ?? null, (_key, item: unknown) => (item === Infinity ? "unlimited" : item), 2);
  return { status: 200, contentType: "application/json", body: `${body}\n` };
}

/**
 * A small HTTP server for operators, off the path of traffic. Some of its ports are reached by every pod, so what a peer can make it hold
 * is bounded: so many connections, and one page on each.
 */
export class HttpEndpoint {
  readonly #routes: readonly PageRoute[];
  readonly #options: EndpointOptions;
  readonly #server: Server;
  /** In the order in which they came. */
  readonly #connections = new Set<Socket>();
  /** Those with an answer that is under way. */
  readonly #answering = new WeakSet<Socket>();

  constructor(routes: readonly PageRoute[], options: EndpointOptions) {
    this.#routes = routes;
    this.#options = options;
    // By name at run time: an `import` of node:http costs five times the memory in the bundle (design.md).
    const http = process.getBuiltinModule("node:http");
    const timeouts = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS };
    this.#server = http.createServer(timeouts, (request, response) => this.#onRequest(request, response));
    this.#server.timeout = IDLE_TIMEOUT_MS;
    this.#server.on("connection", (socket) => this.#onConnection(socket));
    this.#server.on("clientError", (_error, socket) => socket.destroy());
  }

  /** Binds the first of `addresses` that the host has; port 0 is any. Gives the real port. Rejects with Node's error. */
  async listen(port: number, addresses: readonly string[]): Promise<number> {
    let failure: unknown = new Error("no address to listen on");
    for (const address of addresses) {
      try {
        return await this.#bind(port, address);
      } catch (error) {
        failure = error;
        if (!isMissingFamily(error)) break;
      }
    }
    throw failure;
  }

  /**
   * Listens on a Unix socket that only the user of this process may open; one that an earlier process left behind is
   * replaced, anything else at that path is not. Rejects with Node's error.
   */
  async listenOn(path: string): Promise<void> {
    await removeLeftBehindSocket(path);
    const mask = process.umask(0o177);
    try {
      await this.#listen({ path });
    } finally {
      process.umask(mask);
    }
    chmodSync(path, 0o600);
  }

  /** Stops listening and closes what is open. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #bind(port: number, address: string): Promise<number> {
    await this.#listen({ port, host: address });
    const bound = this.#server.address();
    return bound !== null && typeof bound === "object" ? bound.port : port;
  }

  #listen(options: ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(options, () => {
        this.#server.off("error", reject);
        // Errors of accepting (no descriptor left) must not end the process; the next connection is tried anew.
        this.#server.on("error", () => undefined);
        resolve();
      });
    });
  }

  #onConnection(socket: Socket): void {
    const [oldest] = this.#connections;
    if (oldest !== undefined && this.#connections.size >= MAX_CONNECTIONS) {
      this.#connections.delete(oldest);
      oldest.destroy();
    }
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    // Who asks for pages waits for each. Node would make all that are asked for at once, a thousand pages for one packet.
    if (this.#answering.has(socket)) {
      socket.destroy();
      return;
    }
    this.#answering.add(socket);
    response.once("close", () => this.#answering.delete(socket));
    void this.#answer(request, response);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on("error", () => response.destroy());
    response.on("error", () => response.destroy());
    request.resume();
    let page: Page;
    try {
      page = await this.#page(request);
    } catch (error) {
      page = textPage(500, `${error instanceof Error ? error.message : "internal error"}\n`);
    }
    if (page.sent !== undefined) response.once("close", page.sent);
    if (response.destroyed) return;
    response.writeHead(page.status, {
      "content-type": page.contentType,
      "content-length": Buffer.byteLength(page.body),
      "cache-control": "no-cache, max-age=0",
      "x-content-type-options": "nosniff",
      ...page.headers,
    });
    response.end(page.body);
  }

  #page(request: IncomingMessage): Page | Promise<Page> {
    if (this.#options.isLoopbackOnly && isForeign(request)) return textPage(403, "only for requests to a loopback host\n");
    const target = request.url ?? "/";
    const mark = target.indexOf("?");
    const path = mark < 0 ? target : target.slice(0, mark);
    const here = this.#routes.filter((route) => route.path === path || (route.path.endsWith("/*") && path.startsWith(route.path.slice(0, -1))));
    if (here.length === 0) return textPage(404, `not found; there is:\n${this.#index()}`);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = here.find((candidate) => candidate.method === method);
    if (route === undefined) {
      const allow = here.map((candidate) => candidate.method).join(", ");
      return { ...textPage(405, `use ${allow}\n`), headers: { allow } };
    }
    const guard = route.guard ?? (route.method === "GET" ? this.#options.reads : this.#options.writes);
    const refusal = guard?.refusal(request) ?? null;
    if (refusal !== null) return textPage(403, `${refusal}\n`);
    const rest = route.path.endsWith("/*") ? path.slice(route.path.length - 1) : "";
    return route.handle(new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)), rest);
  }

  #index(): string {
    return this.#routes.map((route) => `${route.method} ${route.path}\n`).join("");
  }
}

/**
 * A page of the web cannot be let in through a user's browser: neither by a name that was rebound to 127.0.0.1 (then
 * Host is not ours, hostile B30) nor by a form that posts here (then Origin is not ours).
 */
function isForeign(request: IncomingMessage): boolean {
  if (!namesLoopbackHost(request)) return true;
  const { origin } = request.headers;
  if (origin !== undefined && !isLoopbackOrigin(origin)) return true;
  return request.headers["sec-fetch-site"] === "cross-site";
}

/** The host has no IPv6, or not this address. */
function isMissingFamily(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}
