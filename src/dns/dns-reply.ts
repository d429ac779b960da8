import { type Answer, encode } from "dns-packet";
import { CLASS_IN, type DnsQuery, HEADER_BYTES, RCODE, TYPE } from "./dns-query.ts";

/** Seconds a client may keep an answer of ours (spec/01 1.9). */
const TTL_SECONDS = 30;
/** Largest UDP answer to a client that names no size (RFC 1035 4.2.1). */
const DEFAULT_UDP_BYTES = 512;
/** Largest UDP answer sent at all, and the size we say that we take (RFC 6891 6.2.5). */
const MAX_UDP_BYTES = 4096;
const MAX_TCP_BYTES = 65_535;

const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200, recursionDesired: 0x0100, recursionAvailable: 0x0080, checkingDisabled: 0x0010 } as const;
/** A compression pointer to the name of the question (RFC 1035 4.1.4). */
const POINTER = 0xc000;
/** Bytes of a record between its owner and its data: type, class, TTL, length. */
const RECORD_FIELDS_BYTES = 10;

export type Protocol = "udp" | "tcp";

/** What is known of a name. */
export interface AddressAnswer {
  /** The name that the one asked for stands for; null when it is that name itself. */
  readonly alias: string | null;
  /** Of the family asked for, in the order in which they are told. */
  readonly addresses: readonly string[];
}

/** The answer to a message that cannot be read: its id and the reason. `bytes` has at least a header. */
export function refusal(bytes: Buffer, rcode: number): Buffer {
  const opcode = bytes.readUInt16BE(2) & 0x7800;
  return header(bytes, FLAG.response | opcode | rcode, 0, 0, 0);
}

/** An answer without records: a failure, or that the name has no address of this kind. */
export function emptyReply(query: DnsQuery, rcode: number, isAuthoritative = false): Buffer {
  return assemble(query, [], rcode, isAuthoritative ? FLAG.authoritative : 0);
}

/**
 * The authoritative answer with the addresses of a name, as many as fit; when some are left out it says so, and the
 * client asks again by TCP. With an alias its record comes first, as a resolver that followed it would answer.
 */
export function addressReply(query: DnsQuery, answer: AddressAnswer, protocol: Protocol): Buffer {
  const { alias, addresses } = answer;
  if (addresses.length === 0) return emptyReply(query, RCODE.NOERROR, true);
  const records: Buffer[] = [];
  let owner = HEADER_BYTES;
  if (alias !== null) {
    records.push(record(owner, { type: "CNAME", name: ".", data: alias }));
    owner = query.questionEnd + 2 + RECORD_FIELDS_BYTES;
  }
  const type = query.type === TYPE.A ? "A" : "AAAA";
  for (const address of addresses) records.push(record(owner, { type, name: ".", data: address }));
  const limit = maxReplyBytes(query, protocol) - optionOf(query, RCODE.NOERROR).length;
  let bytes = query.questionEnd;
  const fitting = records.filter(({ length }) => (bytes += length) <= limit);
  return assemble(query, fitting, RCODE.NOERROR, FLAG.authoritative | (fitting.length < records.length ? FLAG.truncated : 0));
}

/** A foreign answer as the client can take it: whole, or cut down to the sign that it was too long. */
export function fittingReply(query: DnsQuery, reply: Buffer, protocol: Protocol): Buffer {
  if (reply.length <= maxReplyBytes(query, protocol)) return reply;
  const rcode = reply.readUInt16BE(2) & 0x000f;
  return assemble(query, [], rcode, FLAG.truncated);
}

function maxReplyBytes({ edns }: DnsQuery, protocol: Protocol): number {
  if (protocol === "tcp") return MAX_TCP_BYTES;
  return edns === null ? DEFAULT_UDP_BYTES : Math.min(MAX_UDP_BYTES, Math.max(DEFAULT_UDP_BYTES, edns.payloadBytes));
}

function assemble(query: DnsQuery, records: readonly Buffer[], rcode: number, flags: number): Buffer {
  const asked = query.bytes.readUInt16BE(2) & (FLAG.recursionDesired | FLAG.checkingDisabled);
  const option = optionOf(query, rcode);
  const head = header(query.bytes, FLAG.response | FLAG.recursionAvailable | asked | flags | (rcode & 0x0f), 1, records.length, option.length > 0 ? 1 : 0);
  // The question goes back byte by byte: clients compare it, upper and lower case included.
  return Buffer.concat([head, query.bytes.subarray(HEADER_BYTES, query.questionEnd), ...records, option]);
}

function header(query: Buffer, flags: number, questions: number, answers: number, additionals: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  query.copy(bytes, 0, 0, 2);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  bytes.writeUInt16BE(additionals, 10);
  return bytes;
}

/** The OPT record that answers the query's own (RFC 6891 6.1.1); empty when it has none. */
function optionOf({ edns }: DnsQuery, rcode: number): Buffer {
  if (edns === null) return Buffer.alloc(0);
  const flags = edns.wantsDnssec ? 0x8000 : 0;
  return encode({
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: MAX_UDP_BYTES, extendedRcode: rcode >> 4, ednsVersion: 0, flags, flag_do: edns.wantsDnssec, options: [] }],
  }).subarray(HEADER_BYTES);
}

/**
 * A record, its owner a pointer to where that name already stands. `dns-packet` writes every name in full, which would
 * leave room for nine addresses of an ordinary service in 512 bytes instead of nearly thirty.
 */
function record(owner: number, answer: Answer): Buffer {
  const encoded = encode({ answers: [{ ...answer, class: "IN", ttl: TTL_SECONDS } as Answer] });
  // Behind the header stands the root's name, one zero byte, where the pointer goes.
  const bytes = Buffer.alloc(encoded.length - HEADER_BYTES + 1);
  bytes.writeUInt16BE(POINTER | owner, 0);
  encoded.copy(bytes, 2, HEADER_BYTES + 1);
  return bytes;
}

/** Whether the query asks for addresses, the only thing we know of a name. */
export function asksForAddresses({ type, class: queryClass }: DnsQuery): boolean {
  return queryClass === CLASS_IN && (type === TYPE.A || type === TYPE.AAAA);
}
