import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";

import { portOf } from "./mesh-resources.ts";

/** An HTTP application that counts what reaches it. */
export class TestApplication {
  readonly name: string;
  readonly server: Server;
  /** Requests in the order they came. */
  readonly requests: IncomingMessage[] = [];
  /** How often a request was executed, by its header `x-test-id`. */
  readonly executions = new Map<string, number>();

  private constructor(name: string, handle: (request: IncomingMessage, response: ServerResponse) => void) {
    this.name = name;
    const serve: RequestListener = (request, response) => {
      this.requests.push(request);
      const id = String(request.headers["x-test-id"] ?? "");
      this.executions.set(id, (this.executions.get(id) ?? 0) + 1);
      handle(request, response);
    };
    // A test that stops the clock must not meet Node's own time-outs.
    this.server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, serve);
  }

  /** Starts it on a free port of loopback; without `handle` it answers 200 with its name, after the whole request. */
  static async start(name: string, handle?: (request: IncomingMessage, response: ServerResponse) => void): Promise<TestApplication> {
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      request.resume();
      request.on("end", () => response.end(name));
    };
    const application = new TestApplication(name, handle ?? answer);
    await new Promise<void>((resolve) => {
      application.server.listen(0, "127.0.0.1", resolve);
    });
    return application;
  }

  get port(): number {
    return portOf(this.server);
  }

  /** More than one execution of the same request. */
  get repeated(): string[] {
    return [...this.executions].filter(([id, count]) => id !== "" && count > 1).map(([id]) => id);
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }
}
