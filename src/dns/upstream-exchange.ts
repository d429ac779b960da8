import { randomInt } from "node:crypto";
import { type DnsQuery, HEADER_BYTES } from "./dns-query.ts";

/** A name server to ask. */
export interface NameServer {
  /** IP address, with a zone where it is link-local. */
  readonly address: string;
  readonly port: number;
}

/** One question put to one server. Ends exactly once, by answer, failure or `cancel`. */
export interface UpstreamExchange {
  /** The port it is sent from, once there is one. */
  readonly localPort: number | null;
  /** What is sent. */
  readonly message: Buffer;
  /** Ends it without telling anybody. */
  cancel(): void;
}

/** Told once. */
export interface ExchangeListener {
  answered(reply: Buffer): void;
  failed(reason: string): void;
}

/**
 * What is sent upstream, and what is taken as its answer. The id is new and unpredictable, so that whoever cannot see
 * the query cannot answer it (RFC 5452); the rest is the client's, byte for byte.
 */
export class ForwardedQuery {
  readonly message: Buffer;
  readonly #query: DnsQuery;

  constructor(query: DnsQuery) {
    this.#query = query;
    this.message = Buffer.from(query.bytes);
    this.message.writeUInt16BE(randomInt(0x1_0000), 0);
  }

  /** The reply under the client's own id; null when it answers something else: another id, another question. */
  acceptReply(reply: Buffer): Buffer | null {
    const { questionEnd, bytes } = this.#query;
    if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== this.message.readUInt16BE(0)) return null;
    const flags = reply.readUInt16BE(2);
    const isResponse = (flags & 0x8000) !== 0 && (flags & 0x7800) === 0;
    if (!isResponse || !this.#repeatsQuestion(reply, flags & 0x0f)) return null;
    const own = Buffer.from(reply);
    bytes.copy(own, 0, 0, 2);
    // Some servers answer in lower case; the client compares with what it wrote.
    if (own.readUInt16BE(4) === 1) bytes.copy(own, HEADER_BYTES, HEADER_BYTES, questionEnd);
    return own;
  }

  #repeatsQuestion(reply: Buffer, rcode: number): boolean {
    const questions = reply.readUInt16BE(4);
    // A server that could not read the query, or did not want to, may leave the question out.
    if (questions === 0) return rcode !== 0 && reply.readUInt32BE(6) === 0;
    const { questionEnd, bytes } = this.#query;
    if (questions !== 1 || reply.length < questionEnd) return false;
    const folded = (message: Buffer): string => message.toString("latin1", HEADER_BYTES, questionEnd - 4).toLowerCase();
    const typeAndClass = questionEnd - 4;
    return folded(reply) === folded(bytes) && reply.compare(bytes, typeAndClass, questionEnd, typeAndClass, questionEnd) === 0;
  }
}
