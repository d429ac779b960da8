import { encode, type Packet, type RecordType } from "dns-packet";

import { type DnsQuery, readQuery } from "../../../src/dns/dns-query.ts";

/** A query as a client writes it. */
export function queryBytes(name: string, type: RecordType = "A", more: Packet = {}): Buffer {
  return encode({ type: "query", id: 0x1234, flags: 0x0100, questions: [{ name, type, class: "IN" }], ...more });
}

/** The OPT record of a client that takes answers of `payloadBytes`. */
export function optRecord(payloadBytes: number, more: { version?: number; dnssecOk?: boolean } = {}): NonNullable<Packet["additionals"]>[number] {
  const isDo = more.dnssecOk ?? false;
  return { type: "OPT", name: ".", udpPayloadSize: payloadBytes, extendedRcode: 0, ednsVersion: more.version ?? 0, flags: isDo ? 0x8000 : 0, flag_do: isDo, options: [] };
}

export function queryOf(bytes: Buffer): DnsQuery {
  const reading = readQuery(bytes);
  if (reading.kind !== "query") throw new Error(`not a query: ${JSON.stringify(reading)}`);
  return reading.query;
}
