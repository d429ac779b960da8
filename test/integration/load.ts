import { Agent, request } from "node:http";
import type { Socket } from "node:net";

/** What one request of a load came to. */
export interface LoadResult {
  /** 0: the connection failed or the answer was cut. */
  readonly status: number;
  readonly body: string;
  readonly error: string | null;
}

/**
 * Requests one after the other over a few kept connections for as long as a test works on the proxy. Whatever is not
 * answered counts.
 */
export class Load {
  readonly results: LoadResult[] = [];
  readonly #agent: Agent;
  readonly #workers: Promise<void>[];
  #isOver = false;

  readonly #host: string;

  /** `connect` opens a connection as the application would; each worker has one request under way at a time. */
  constructor(connect: () => Socket, workers = 4, path = "/", host = "reviews") {
    this.#host = host;
    this.#agent = new Agent({ keepAlive: true, maxSockets: workers });
    this.#agent.createConnection = connect;
    this.#workers = Array.from({ length: workers }, () => this.#work(path));
  }

  /** Requests that got no answer, or an error. */
  get failures(): LoadResult[] {
    return this.results.filter(({ status }) => status < 200 || status >= 500);
  }

  /** Answers to requests that were sent after a certain number of results. */
  since(count: number): LoadResult[] {
    // One request of each worker may have been under way by then.
    return this.results.slice(count + this.#workers.length);
  }

  /** Resolves once so many more requests have been answered. */
  async more(count: number): Promise<void> {
    const wanted = this.results.length + count;
    while (this.results.length < wanted) {
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#workers);
    this.#agent.destroy();
  }

  async #work(path: string): Promise<void> {
    while (!this.#isOver) {
      this.results.push(await this.#ask(path));
      await new Promise(setImmediate);
    }
  }

  #ask(path: string): Promise<LoadResult> {
    return new Promise((resolve) => {
      let body = "";
      const fail = (error: Error): void => resolve({ status: 0, body, error: error.message });
      const asked = request({ agent: this.#agent, path, headers: { host: this.#host } }, (response) => {
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => (body += chunk));
        response.on("error", fail);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body, error: null }));
      });
      asked.on("error", fail);
      asked.end();
    });
  }
}
