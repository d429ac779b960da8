import { type IncomingHttpHeaders, request as httpRequest, type OutgoingHttpHeaders } from "node:http";
import type { Socket } from "node:net";

export interface HttpQuestion {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
  /** Statuses of the informational responses before. */
  readonly informational: readonly number[];
}

/**
 * Sends one request on a connection of its own and resolves with the whole answer. Rejects when the connection fails
 * or the answer is cut short: what Node's parser takes for whole counts as whole.
 */
export function ask(socket: Socket, question: HttpQuestion = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", path = "/", host = "reviews", headers = {}, body } = question;
    const informational: number[] = [];
    const request = httpRequest({ createConnection: () => socket, method, path, headers: { host, connection: "close", ...headers } });
    request.on("information", ({ statusCode }) => informational.push(statusCode));
    request.on("error", reject);
    request.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        socket.destroy();
        resolve({
          status: response.statusCode ?? 0, headers: response.headers, rawHeaders: response.rawHeaders, trailers: response.trailers,
          body: Buffer.concat(chunks).toString("latin1"), informational,
        });
      });
    });
    request.end(body);
  });
}
