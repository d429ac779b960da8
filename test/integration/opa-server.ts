import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

import { type CheckRequestMessage, type CheckResponseMessage, decodeCheckRequest, encodeCheckResponse } from "../unit/filter/ext-authz-proto.ts";
import { portOf } from "./mesh-resources.ts";

/** What a decision is made by, over whichever transport it was asked for: the `input` of a policy document. */
export interface OpaInput {
  /** Null for an opaque connection. */
  readonly method: string | null;
  readonly path: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for a caller that proved none. */
  readonly principal: string;
}

/** All that is given must hold. */
export interface OpaRule {
  readonly methods?: readonly string[];
  readonly pathPrefix?: string;
  readonly principal?: string;
  readonly header?: readonly [name: string, value: string];
  /** It is for opaque connections. */
  readonly opaque?: true;
}

/** Whatever no rule allows is denied: the one document that both transports decide by. */
export interface OpaDocument {
  readonly allow: readonly OpaRule[];
  /** Told to the application about what was allowed. */
  readonly userHeader?: string;
}

/** One question, and who asked by what. */
export interface OpaQuestion {
  readonly input: OpaInput;
  /** The message of gRPC; null over HTTP. */
  readonly message: CheckRequestMessage | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** By when it is to be answered, milliseconds since the epoch; infinite for no limit. */
  readonly deadlineMs: number;
  isCancelled: boolean;
}

/** An answer over gRPC: a message, a status of the call, or none until the promise is kept. */
export type OpaAnswer = CheckResponseMessage | { readonly grpcStatus: number; readonly grpcMessage: string } | Promise<CheckResponseMessage>;

type CheckCall = ServerUnaryCall<CheckRequestMessage, CheckResponseMessage>;

const METHODS = {
  Check: {
    path: "/envoy.service.auth.v3.Authorization/Check", requestStream: false, responseStream: false,
    requestDeserialize: decodeCheckRequest, requestSerialize: () => Buffer.alloc(0),
    responseSerialize: encodeCheckResponse, responseDeserialize: () => ({}),
  },
} as const;

/** An external authorizer that decides by a document, as Open Policy Agent does, over HTTP or over gRPC by grpc-js. */
export class OpaServer {
  readonly questions: OpaQuestion[] = [];
  document: OpaDocument;
  /** In place of the document's decision, over gRPC. */
  answer: ((question: OpaQuestion) => OpaAnswer) | null = null;
  #stop: () => void = () => undefined;
  #port = 0;

  private constructor(document: OpaDocument) {
    this.document = document;
  }

  static async overGrpc(document: OpaDocument = { allow: [] }): Promise<OpaServer> {
    const opa = new OpaServer(document);
    const server = new Server();
    server.addService(METHODS, { Check: (call: CheckCall, done: sendUnaryData<CheckResponseMessage>) => opa.#check(call, done) } as unknown as UntypedServiceImplementation);
    opa.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error)));
    });
    opa.#stop = () => server.forceShutdown();
    return opa;
  }

  static async overHttp(document: OpaDocument): Promise<OpaServer> {
    const opa = new OpaServer(document);
    const server = createServer((request, response) => opa.#serve(request, response));
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    opa.#port = portOf(server);
    opa.#stop = () => {
      server.close();
      server.closeAllConnections();
    };
    return opa;
  }

  get port(): number {
    return this.#port;
  }

  /** The last question. @throws Error when there was none. */
  get last(): OpaQuestion {
    const question = this.questions.at(-1);
    if (question === undefined) throw new Error("nobody asked");
    return question;
  }

  stop(): void {
    this.#stop();
  }

  #allows(input: OpaInput): boolean {
    return this.document.allow.some((rule) => holds(rule, input));
  }

  #check(call: CheckCall, done: sendUnaryData<CheckResponseMessage>): void {
    const message = call.request;
    const http = message.attributes.request?.http;
    const input: OpaInput = {
      method: http?.method ?? null, path: http?.path ?? null, headers: http?.headers ?? {}, principal: message.attributes.source.principal ?? "",
    };
    const question: OpaQuestion = { input, message, metadata: call.metadata.getMap() as Record<string, string>, deadlineMs: Number(call.getDeadline()), isCancelled: false };
    this.questions.push(question);
    call.on("cancelled", () => (question.isCancelled = true));
    const answer = this.answer === null ? this.#decide(input) : this.answer(question);
    if ("grpcStatus" in answer) done({ code: answer.grpcStatus, details: answer.grpcMessage });
    else void Promise.resolve(answer).then((response) => done(null, response));
  }

  #decide(input: OpaInput): CheckResponseMessage {
    if (!this.#allows(input)) return { status: { code: 7 }, denied_response: { status: { code: 403 }, body: "denied by document", headers: [{ header: { key: "x-decided-by", value: "opa" } }] } };
    const { userHeader } = this.document;
    return { status: { code: 0 }, ok_response: userHeader === undefined ? {} : { headers: [{ header: { key: userHeader, value: input.principal } }] } };
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const principal = /URI=(spiffe:[^;,]*)/.exec(headers["x-forwarded-client-cert"] ?? "")?.[1] ?? "";
    const input: OpaInput = { method: request.method ?? "", path: request.url ?? "", headers, principal };
    const question: OpaQuestion = { input, message: null, metadata: {}, deadlineMs: Number.POSITIVE_INFINITY, isCancelled: false };
    this.questions.push(question);
    request.on("aborted", () => (question.isCancelled = true));
    const isAllowed = this.#allows(input);
    const { userHeader } = this.document;
    if (isAllowed && userHeader !== undefined) response.setHeader(userHeader, principal);
    if (isAllowed) response.end();
    else response.writeHead(403, { "content-type": "text/plain", "x-decided-by": "opa" }).end("denied by document");
  }
}

function holds({ methods, pathPrefix, principal, header, opaque }: OpaRule, input: OpaInput): boolean {
  return (input.method === null) === (opaque === true)
    && (methods === undefined || methods.includes(input.method ?? ""))
    && (pathPrefix === undefined || (input.path ?? "").startsWith(pathPrefix))
    && (principal === undefined || input.principal === principal)
    && (header === undefined || input.headers[header[0]] === header[1]);
}
