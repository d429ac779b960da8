import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import type { Server, Socket } from "node:net";
import type { TLSSocket } from "node:tls";

import { DevelopmentCa, type CertificateRequest } from "../../src/identity/development-ca.ts";
import { systemClock } from "../../src/core/clock.ts";
import { portOf } from "./mesh-resources.ts";

/** What a server outside of the mesh saw of one request. */
export interface SeenRequest {
  readonly host: string;
  readonly serverName: string | false;
  readonly alpn: string | false | null;
  readonly clientSubject: string | null;
  readonly httpVersion: string;
}

/** An authority of the world outside, which no mesh knows. */
export function outsideCa(): DevelopmentCa {
  return DevelopmentCa.create("outside.test", systemClock);
}

export interface OutsideServerOptions extends CertificateRequest {
  readonly ca: DevelopmentCa;
  /** Ask for certificates of this authority, and refuse who has none. */
  readonly clientCa?: DevelopmentCa;
  readonly protocol?: "http1" | "http2";
  /** Certificate and key, PEM, in place of what `ca` would issue. */
  readonly own?: { readonly certificate: string; readonly key: string };
}

/** An HTTPS server outside of the mesh, on a free port of loopback; it tells what it saw. */
export class OutsideServer {
  readonly seen: SeenRequest[] = [];
  /** Connections that finished their handshake. */
  connections = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(options: OutsideServerOptions) {
    const issued = options.ca.issue("spiffe://outside.test/ns/x/sa/x", { uris: [], ...options });
    const tls: ServerOptions = {
      cert: options.own?.certificate ?? issued.certificateChainPem, key: options.own?.key ?? issued.privateKeyPem,
      ...(options.clientCa === undefined ? {} : { ca: options.clientCa.rootPem, requestCert: true, rejectUnauthorized: true }),
    };
    const serve = (request: IncomingMessage, response: ServerResponse): void => this.#serve(request, response);
    this.#server = options.protocol === "http2"
      ? createSecureServer(tls, serve as unknown as Parameters<typeof createSecureServer>[1])
      : createHttpsServer(tls, serve);
    this.#server.on("secureConnection", () => this.connections++);
    this.#server.on("tlsClientError", () => undefined);
    this.#server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.on("close", () => this.#open.delete(socket));
      socket.on("error", () => undefined);
    });
  }

  static async start(options: OutsideServerOptions, address = "127.0.0.1"): Promise<OutsideServer> {
    const server = new OutsideServer(options);
    await new Promise<void>((resolve) => {
      server.#server.listen(0, address, resolve);
    });
    return server;
  }

  get port(): number {
    return portOf(this.#server);
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const socket = (request as unknown as { stream?: { session: { socket: TLSSocket } } }).stream?.session.socket ?? request.socket as TLSSocket;
    this.seen.push({
      host: request.headers.host ?? String(request.headers[":authority"] ?? ""),
      serverName: (socket as unknown as { servername: string | false }).servername,
      alpn: socket.alpnProtocol,
      clientSubject: socket.getPeerX509Certificate()?.subjectAltName ?? null,
      httpVersion: request.httpVersion,
    });
    response.end("from outside");
  }
}

/** A plaintext server that counts what it gets; nothing may come. */
export async function plaintextWitness(): Promise<{ readonly port: number; requests(): number; stop(): void }> {
  let requests = 0;
  const server = createHttpServer((_request, response) => {
    requests++;
    response.end("plaintext");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return { port: portOf(server), requests: () => requests, stop: () => void server.close() };
}
