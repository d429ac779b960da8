import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { type AddressInfo, createServer, type Server } from "node:net";
import { decode, encode } from "dns-packet";

import { frame, MessageFrames } from "../../src/dns/message-frames.ts";

/** What a name server answers; null for nothing. */
type Answer = (query: Buffer, protocol: "udp" | "tcp", from: RemoteInfo | null, socket: Socket) => Buffer | null;

/** A name server on an address of loopback, by UDP and TCP on the same port, that keeps what it was asked. */
export class FakeNameServer {
  readonly queries: { readonly bytes: Buffer; readonly protocol: "udp" | "tcp" }[] = [];
  readonly address: string;
  answer: Answer = (query) => textAnswer(query, this.address);
  readonly #udp = createSocket("udp4");
  readonly #tcp: Server;

  private constructor(address: string) {
    this.address = address;
    this.#udp.on("message", (query, from) => {
      this.queries.push({ bytes: query, protocol: "udp" });
      const reply = this.answer(query, "udp", from, this.#udp);
      if (reply !== null) this.#udp.send(reply, from.port, from.address);
    });
    this.#tcp = createServer((socket) => {
      const frames = new MessageFrames(65_535);
      socket.on("error", () => undefined);
      socket.on("data", (chunk: Buffer) => {
        frames.add(chunk);
        const query = frames.next();
        if (query === null || query === undefined) return;
        this.queries.push({ bytes: query, protocol: "tcp" });
        const reply = this.answer(query, "tcp", null, this.#udp);
        if (reply !== null) socket.write(frame(reply));
      });
    });
  }

  /** Starts one; `port` 0 is any that is free. */
  static async start(address: string, port = 0): Promise<FakeNameServer> {
    const server = new FakeNameServer(address);
    await new Promise<void>((resolve) => {
      server.#tcp.listen(port, address, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      server.#udp.once("error", reject);
      server.#udp.bind(server.port, address, resolve);
    });
    return server;
  }

  get port(): number {
    return (this.#tcp.address() as AddressInfo).port;
  }

  stop(): void {
    this.#udp.close();
    this.#tcp.close();
  }
}

/** An answer to whatever is asked: one TXT record. */
export function textAnswer(query: Buffer, text: string): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const name = questions[0]?.name ?? "";
  return encode({ type: "response", id, flags: 0x0180, questions, answers: [{ type: "TXT", name, data: text }] });
}

/** The text of such an answer, or its response code when there is none. */
export function textOf(reply: Buffer): string {
  const { answers = [], rcode } = decode(reply) as ReturnType<typeof decode> & { rcode: string };
  const [answer] = answers;
  return answer?.type === "TXT" ? String(answer.data) : rcode;
}
