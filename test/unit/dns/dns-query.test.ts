import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { readQuery } from "../../../src/dns/dns-query.ts";
import { optRecord, queryBytes, queryOf } from "./queries.ts";

const FORMERR = { kind: "refused", rcode: 1 };

/** A header with these counts, and what follows. */
function message(flags: number, counts: readonly [number, number, number, number], ...rest: readonly (Buffer | string | readonly number[])[]): Buffer {
  const header = Buffer.alloc(12);
  [0x1234, flags, ...counts].forEach((value, at) => header.writeUInt16BE(value, at * 2));
  return Buffer.concat([header, ...rest.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : Buffer.from(part)))]);
}

const labels = (...parts: readonly string[]): string => `${parts.map((part) => String.fromCharCode(part.length) + part).join("")}\0`;
const A_IN = [0, 1, 0, 1];

describe("reading a query", () => {
  it("the question, its name in lower case", () => {
    const bytes = queryBytes("Reviews.Default.svc.cluster.local", "AAAA");
    expect(queryOf(bytes)).toEqual({ bytes, questionEnd: bytes.length, hostName: "reviews.default.svc.cluster.local", type: 28, class: 1, edns: null });
  });

  it("what the client can take", () => {
    const bytes = queryBytes("a.example", "A", { additionals: [optRecord(1232, { dnssecOk: true })] });
    expect(queryOf(bytes)).toMatchObject({ edns: { version: 0, payloadBytes: 1232, wantsDnssec: true }, questionEnd: bytes.length - 11 });
  });

  it.each([
    ["a label with a dot is not two labels", labels("reviews.default", "svc", "cluster", "local")],
    ["other characters", labels("rev iews", "example")],
    ["bytes that are no ASCII", labels("r\xe9views", "example")],
    ["NUL", labels("reviews\0", "example")],
    ["a star that is not the whole label", labels("a*", "example")],
    ["the root", "\0"],
  ])("no host name, though a question: %s", (_what, name) => {
    expect(queryOf(message(0x0100, [1, 0, 0, 0], name, A_IN)).hostName).toBeNull();
  });

  it("underscores and stars are names", () => {
    expect(queryOf(message(0, [1, 0, 0, 0], labels("_sip", "_tcp", "example"), A_IN)).hostName).toBe("_sip._tcp.example");
    expect(queryOf(message(0, [1, 0, 0, 0], labels("*", "example"), A_IN)).hostName).toBe("*.example");
  });

  it("the longest name, and one that is too long", () => {
    const l63 = "a".repeat(63);
    const longest = labels(l63, l63, l63, "a".repeat(61));
    expect(longest).toHaveLength(255);
    expect(queryOf(message(0, [1, 0, 0, 0], longest, A_IN)).hostName).toHaveLength(253);
    expect(readQuery(message(0, [1, 0, 0, 0], labels(l63, l63, l63, "a".repeat(62)), A_IN))).toEqual(FORMERR);
  });

  it.each([
    ["shorter than a header", Buffer.alloc(11)],
    ["empty", Buffer.alloc(0)],
    ["an answer: answering it would make a loop", message(0x8180, [1, 0, 0, 0], labels("a"), A_IN)],
  ])("ignored: %s", (_what, bytes) => {
    expect(readQuery(bytes)).toEqual({ kind: "ignored" });
  });

  it.each([
    ["no question", message(0, [0, 0, 0, 0])],
    ["two questions", message(0, [2, 0, 0, 0], labels("a"), A_IN, labels("b"), A_IN)],
    ["65535 questions", message(0, [65_535, 0, 0, 0], labels("a"), A_IN)],
    ["an answer record", message(0, [1, 1, 0, 0], labels("a"), A_IN, "\0", A_IN, [0, 0, 0, 0, 0, 4, 1, 2, 3, 4])],
    ["an authority record", message(0, [1, 0, 1, 0], labels("a"), A_IN, "\0", A_IN, [0, 0, 0, 0, 0, 4, 1, 2, 3, 4])],
    ["additional records without end", message(0, [1, 0, 0, 65_535], labels("a"), A_IN)],
    ["a name that does not end", message(0, [1, 0, 0, 0], "\x05revi")],
    ["a label beyond the end", message(0, [1, 0, 0, 0], "\x3fa\0", A_IN)],
    ["no type and class", message(0, [1, 0, 0, 0], labels("a"), [0, 1, 0])],
    ["a pointer to itself", message(0, [1, 0, 0, 0], [0xc0, 12], A_IN)],
    ["a pointer into the header", message(0, [1, 0, 0, 0], [0xc0, 4], A_IN)],
    ["a label of a kind nobody uses", message(0, [1, 0, 0, 0], [0x41, 0x61, 0], A_IN)],
    ["an OPT record cut short", queryBytes("a", "A", { additionals: [optRecord(1232)] }).subarray(0, -1)],
    ["two OPT records", queryBytes("a", "A", { additionals: [optRecord(1232), optRecord(512)] })],
    ["something behind the last record", Buffer.concat([queryBytes("a"), Buffer.from([0])])],
    ["more than 4096 bytes", Buffer.concat([queryBytes("a"), Buffer.alloc(4096)])],
  ])("refused: %s", (_what, bytes) => {
    expect(readQuery(bytes)).toEqual(FORMERR);
  });

  it("refused as not implemented: updates, notifications, status", () => {
    for (const opcode of [1, 2, 4, 5, 15]) expect(readQuery(message(opcode << 11, [1, 0, 0, 0], labels("a"), A_IN))).toEqual({ kind: "refused", rcode: 4 });
  });

  it("never throws, and whatever is a name was asked for label by label", () => {
    const valid = queryBytes("reviews.default.svc.cluster.local", "A", { additionals: [optRecord(1232)] });
    const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) => {
      const bytes = Buffer.from(valid);
      for (const [at, value] of changes) bytes[at] = value;
      return bytes;
    });
    const any = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    fc.assert(fc.property(fc.oneof(mutated, any, mutated.chain((bytes) => fc.nat(bytes.length).map((end) => bytes.subarray(0, end)))), (bytes) => {
      const reading = readQuery(bytes);
      if (reading.kind !== "query" || reading.query.hostName === null) return;
      const wire = labels(...reading.query.hostName.split("."));
      expect(bytes.toString("latin1", 12, 12 + wire.length).toLowerCase()).toBe(wire);
      expect(reading.query.questionEnd).toBe(12 + wire.length + 4);
    }), { numRuns: 3000 });
  });
});
