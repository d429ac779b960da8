import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Metadata, Server, ServerCredentials, type ServerWritableStream, status } from "@grpc/grpc-js";

import { ProtobufWriter } from "../../src/codec/protobuf-writer.ts";
import type { IssuedCertificate } from "../../src/identity/development-ca.ts";
import { splitPem } from "../../src/identity/pem.ts";

/** One `X509SVID` to send. */
export interface SvidToSend {
  readonly spiffeId: string;
  readonly issued: IssuedCertificate;
  /** PEM; absent: the root of `issued`. */
  readonly bundle?: string;
  readonly hint?: string;
}

/** An `X509SVIDResponse` to send. */
export interface MessageToSend {
  readonly svids: readonly SvidToSend[];
  /** PEM by trust domain. */
  readonly federated?: Readonly<Record<string, string>>;
  readonly crls?: readonly Buffer[];
}

type Answer = { readonly bytes: Buffer } | { readonly code: status; readonly details: string } | "silence";
type Stream = ServerWritableStream<Buffer, Buffer>;

const HEADER = "workload.spiffe.io";

/**
 * A SPIFFE Workload API over a Unix socket, as the standard describes one: every stream begins with all there is now, and
 * gets it anew whenever it changes; who does not send the header is refused.
 */
export class WorkloadApiServer {
  readonly #folder = mkdtempSync(join(tmpdir(), "outrider-workload-api-"));
  readonly #streams = new Set<Stream>();
  /** As gRPC has it. */
  #address: string;
  #server: Server | null = null;
  #answer: Answer = "silence";
  /** How many streams were asked for. */
  calls = 0;
  /** How many of them came without the header. */
  refused = 0;

  /** Over a Unix socket, or over TCP on loopback. */
  static async start(transport: "unix" | "tcp" = "unix"): Promise<WorkloadApiServer> {
    const server = new WorkloadApiServer(transport);
    await server.start();
    return server;
  }

  private constructor(transport: "unix" | "tcp") {
    this.#address = transport === "unix" ? `unix://${this.path}` : "127.0.0.1:0";
  }

  get path(): string {
    return join(this.#folder, "agent.sock");
  }

  get uri(): string {
    return this.#address.startsWith("unix:") ? this.#address : `tcp://${this.#address}`;
  }

  /** How many streams are open. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** Serves (again): what was sent last is what a stream begins with. */
  async start(): Promise<void> {
    rmSync(this.path, { force: true });
    const server = new Server();
    server.addService({
      FetchX509SVID: {
        path: "/SpiffeWorkloadAPI/FetchX509SVID", requestStream: false, responseStream: true,
        requestSerialize: (bytes: Buffer) => bytes, requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes, responseDeserialize: (bytes: Buffer) => bytes,
      },
    }, { FetchX509SVID: (stream: Stream) => this.#serve(stream) });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(this.#address, ServerCredentials.createInsecure(), (error, port) => {
        this.#address = this.#address.replace(/:0$/, `:${port}`);
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** All there is from now on, told to every stream. */
  send(message: MessageToSend): void {
    this.sendBytes(encodeMessage(message));
  }

  /** As `send`, of bytes that need not be a message. */
  sendBytes(bytes: Buffer): void {
    this.#use({ bytes });
  }

  /** Every stream ends with a status, and so do those to come. */
  refuse(code: status, details: string): void {
    this.#use({ code, details });
  }

  /** Streams to come are taken and get nothing. */
  fallSilent(): void {
    this.#answer = "silence";
  }

  /** Streams end as well as they can; those to come are served. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  /** As if the agent was killed. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = null;
    this.#streams.clear();
    rmSync(this.path, { force: true });
  }

  /** Stops and takes its folder away. */
  close(): void {
    this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #serve(stream: Stream): void {
    this.calls++;
    stream.on("error", () => undefined);
    if (stream.metadata.get(HEADER).join(",") !== "true") {
      this.refused++;
      fail(stream, { code: status.INVALID_ARGUMENT, details: "security header missing from request" });
      return;
    }
    this.#streams.add(stream);
    for (const event of ["close", "cancelled", "finish"]) stream.on(event, () => this.#streams.delete(stream));
    this.#tell(stream);
  }

  #use(answer: Answer): void {
    this.#answer = answer;
    for (const stream of this.#streams) this.#tell(stream);
  }

  #tell(stream: Stream): void {
    if (this.#answer === "silence") return;
    if ("bytes" in this.#answer) stream.write(this.#answer.bytes);
    else fail(stream, this.#answer);
  }
}

function fail(stream: Stream, { code, details }: { readonly code: status; readonly details: string }): void {
  stream.emit("error", Object.assign(new Error(details), { code, details, metadata: new Metadata() }));
}

/** Writes an `X509SVIDResponse`. */
export function encodeMessage({ svids, federated = {}, crls = [] }: MessageToSend): Buffer {
  const writer = new ProtobufWriter();
  for (const { spiffeId, issued, bundle = issued.rootPem, hint = "" } of svids) {
    writer.open(1);
    writer.string(1, spiffeId);
    writer.bytes(2, certificatesDer(issued.certificateChainPem));
    writer.bytes(3, createPrivateKey(issued.privateKeyPem).export({ format: "der", type: "pkcs8" }));
    writer.bytes(4, certificatesDer(bundle));
    writer.string(5, hint);
    writer.close();
  }
  for (const crl of crls) writer.bytes(2, crl);
  for (const [trustDomain, pem] of Object.entries(federated)) {
    writer.open(3);
    writer.string(1, `spiffe://${trustDomain}`);
    writer.bytes(2, certificatesDer(pem));
    writer.close();
  }
  return writer.finish();
}

/** The certificates of a PEM text in DER, one after the other. */
export function certificatesDer(pem: string): Buffer {
  return Buffer.concat(splitPem(pem, "CERTIFICATE").map((block) => new X509Certificate(block).raw));
}
