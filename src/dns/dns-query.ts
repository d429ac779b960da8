import { decode } from "dns-packet";

/** Record types and the class that are treated in a way of their own (RFC 1035 3.2). */
export const TYPE = { A: 1, AAAA: 28, IXFR: 251, AXFR: 252 } as const;
export const CLASS_IN = 1;

/** Response codes (RFC 1035 4.1.1, RFC 6891 9). */
export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;

/** Bytes of the header, and so where the question begins. */
export const HEADER_BYTES = 12;
/** Longest query taken. One question, options and padding stay far below. */
export const MAX_QUERY_BYTES = 4096;

const FLAG_RESPONSE = 0x8000;
const OPCODE_MASK = 0x7800;
const MAX_NAME_BYTES = 255;
/** An OPT record and a signature. */
const MAX_ADDITIONAL = 2;
/** What host names are made of, and the star of a wildcard (RFC 952, RFC 8552 for `_`). */
const HOST_LABEL = /^(?:[a-z0-9_-]+|\*)$/;

/** What the OPT record of a query asks for (RFC 6891). */
export interface Edns {
  readonly version: number;
  /** Largest answer by UDP the client can take. */
  readonly payloadBytes: number;
  /** Its DO bit, which the answer repeats (RFC 3225). */
  readonly wantsDnssec: boolean;
}

/** A well-formed query with its one question. */
export interface DnsQuery {
  /** The whole message as it came. */
  readonly bytes: Buffer;
  /** Where the question ends. */
  readonly questionEnd: number;
  /** Lower-case, without final dot; null when it is no host name (other characters, the root). */
  readonly hostName: string | null;
  readonly type: number;
  readonly class: number;
  readonly edns: Edns | null;
}

/** `refused` gets an answer without a question; `ignored` none at all: answering what is no query makes loops. */
export type QueryReading =
  | { readonly kind: "query"; readonly query: DnsQuery }
  | { readonly kind: "refused"; readonly rcode: number }
  | { readonly kind: "ignored" };

/** Reads a message from a client. Strict: exactly one question, uncompressed, nothing behind the last record. Never throws. */
export function readQuery(bytes: Buffer): QueryReading {
  if (bytes.length < HEADER_BYTES) return { kind: "ignored" };
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG_RESPONSE) !== 0) return { kind: "ignored" };
  if ((flags & OPCODE_MASK) !== 0) return { kind: "refused", rcode: RCODE.NOTIMP };
  const malformed: QueryReading = { kind: "refused", rcode: RCODE.FORMERR };
  if (bytes.length > MAX_QUERY_BYTES || bytes.readUInt16BE(4) !== 1) return malformed;
  // Neither answers nor authorities (only IXFR has some), so that decoding costs next to nothing.
  if (bytes.readUInt32BE(6) !== 0 || bytes.readUInt16BE(10) > MAX_ADDITIONAL) return malformed;
  const name = readName(bytes);
  if (name === null || name.end + 4 > bytes.length) return malformed;
  const edns = readEdns(bytes);
  if (edns === undefined) return malformed;
  const query: DnsQuery = {
    bytes,
    questionEnd: name.end + 4,
    hostName: name.hostName,
    type: bytes.readUInt16BE(name.end),
    class: bytes.readUInt16BE(name.end + 2),
    edns,
  };
  return { kind: "query", query };
}

/**
 * The question's name, read label by label: joined text could not tell the label `a.b` from two labels, and what is
 * looked up must be what was asked. There is nothing before it to which a compression pointer could lead.
 */
function readName(bytes: Buffer): { readonly hostName: string | null; readonly end: number } | null {
  const labels: string[] = [];
  let isHostName = true;
  let at = HEADER_BYTES;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63) return null;
    at++;
    if (length === 0) break;
    if (at + length - HEADER_BYTES >= MAX_NAME_BYTES || at + length > bytes.length) return null;
    const label = bytes.toString("latin1", at, at + length).toLowerCase();
    isHostName &&= HOST_LABEL.test(label);
    labels.push(label);
    at += length;
  }
  return { hostName: isHostName && labels.length > 0 ? labels.join(".") : null, end: at };
}

/** The OPT record; null without one, undefined when the message is broken. */
function readEdns(bytes: Buffer): Edns | null | undefined {
  try {
    const { additionals = [] } = decode(bytes);
    if (decode.bytes !== bytes.length) return undefined;
    const options = additionals.filter((record) => record.type === "OPT");
    const [option] = options;
    if (option === undefined) return null;
    if (options.length > 1 || option.name !== ".") return undefined;
    return { version: option.ednsVersion, payloadBytes: option.udpPayloadSize, wantsDnssec: option.flag_do };
  } catch {
    // The decoder throws at whatever it cannot read.
    return undefined;
  }
}
