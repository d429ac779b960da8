import { decode } from "dns-packet";
import { describe, expect, it } from "vitest";

import { addressReply, asksForAddresses, emptyReply, fittingReply, refusal } from "../../../src/dns/dns-reply.ts";
import { optRecord, queryBytes, queryOf } from "./queries.ts";

const addresses = (count: number): string[] => Array.from({ length: count }, (_, at) => `10.0.${at >> 8}.${at & 255}`);
const name = "reviews.default.svc.cluster.local";

describe("an answer with addresses", () => {
  it("is authoritative, has the question as it was asked, and may be kept for 30 seconds", () => {
    const reply = addressReply(queryOf(queryBytes("Reviews.Default")), { alias: null, addresses: ["10.0.0.2", "10.0.0.1"] }, "udp");
    expect(decode(reply)).toMatchObject({
      id: 0x1234, type: "response", flag_aa: true, flag_rd: true, flag_ra: true, flag_tc: false, rcode: "NOERROR",
      questions: [{ name: "Reviews.Default", type: "A", class: "IN" }],
      answers: [
        { name: "Reviews.Default", type: "A", class: "IN", ttl: 30, data: "10.0.0.2" },
        { name: "Reviews.Default", type: "A", class: "IN", ttl: 30, data: "10.0.0.1" },
      ],
      authorities: [], additionals: [],
    });
    expect(decode.bytes).toBe(reply.length);
  });

  it("IPv6", () => {
    const reply = addressReply(queryOf(queryBytes(name, "AAAA")), { alias: null, addresses: ["2001:2::1", "::ffff:a00:1"] }, "udp");
    expect(decode(reply).answers).toMatchObject([{ type: "AAAA", data: "2001:2::1" }, { type: "AAAA", data: "::ffff:a00:1" }]);
  });

  it("an alias first, then the addresses of what it stands for", () => {
    const reply = addressReply(queryOf(queryBytes(`api.example.${name}`)), { alias: "api.example", addresses: ["10.0.0.1", "10.0.0.2"] }, "udp");
    expect(decode(reply).answers).toMatchObject([
      { name: `api.example.${name}`, type: "CNAME", ttl: 30, data: "api.example" },
      { name: "api.example", type: "A", data: "10.0.0.1" },
      { name: "api.example", type: "A", data: "10.0.0.2" },
    ]);
    expect(decode.bytes).toBe(reply.length);
  });

  it("without an address of this family: no error, nothing in it", () => {
    const reply = addressReply(queryOf(queryBytes(name, "AAAA")), { alias: "other", addresses: [] }, "udp");
    expect(decode(reply)).toMatchObject({ rcode: "NOERROR", flag_aa: true, flag_tc: false, answers: [], questions: [{ name, type: "AAAA" }] });
  });

  it.each([
    { payload: null, limit: 512 },
    { payload: 100, limit: 512 },
    { payload: 1232, limit: 1232 },
    { payload: 65_535, limit: 4096 },
  ])("by UDP is cut to what the client takes: $payload", ({ payload, limit }) => {
    const query = queryOf(queryBytes(name, "A", payload === null ? {} : { additionals: [optRecord(payload)] }));
    const reply = addressReply(query, { alias: null, addresses: addresses(500) }, "udp");
    expect(reply.length).toBeLessThanOrEqual(limit);
    // Not one record could be added.
    expect(reply.length).toBeGreaterThan(limit - 16);
    const { answers = [], flag_tc } = decode(reply);
    expect(flag_tc).toBe(true);
    expect(answers.map((answer) => ("data" in answer ? answer.data : null))).toEqual(addresses(answers.length));
    expect(decode.bytes).toBe(reply.length);
  });

  it("what just fits is whole, one more is cut", () => {
    const query = queryOf(queryBytes(name));
    const room = Math.floor((512 - query.questionEnd) / 16);
    expect(decode(addressReply(query, { alias: null, addresses: addresses(room) }, "udp"))).toMatchObject({ flag_tc: false, answers: { length: room } });
    expect(decode(addressReply(query, { alias: null, addresses: addresses(room + 1) }, "udp"))).toMatchObject({ flag_tc: true, answers: { length: room } });
  });

  it("by TCP is whole", () => {
    expect(decode(addressReply(queryOf(queryBytes(name)), { alias: null, addresses: addresses(3000) }, "tcp"))).toMatchObject({ flag_tc: false, answers: { length: 3000 } });
  });

  it("answers EDNS with EDNS, and repeats the DO bit", () => {
    const reply = decode(addressReply(queryOf(queryBytes(name, "A", { additionals: [optRecord(1232, { dnssecOk: true })] })), { alias: null, addresses: ["10.0.0.1"] }, "udp"));
    expect(reply.additionals).toMatchObject([{ type: "OPT", name: ".", ednsVersion: 0, extendedRcode: 0, flag_do: true }]);
  });
});

describe("other answers", () => {
  it("a failure repeats id, question and what recursion was asked for", () => {
    expect(decode(emptyReply(queryOf(queryBytes(name, "TXT")), 2))).toMatchObject({
      id: 0x1234, type: "response", rcode: "SERVFAIL", flag_aa: false, flag_rd: true, questions: [{ name, type: "TXT" }], answers: [],
    });
  });

  it("an EDNS version nobody knows yet: BADVERS, its upper bits in the OPT record", () => {
    const reply = decode(emptyReply(queryOf(queryBytes(name, "A", { additionals: [optRecord(1232, { version: 1 })] })), 16));
    expect(reply).toMatchObject({ rcode: "NOERROR", additionals: [{ extendedRcode: 1, ednsVersion: 0 }] });
  });

  it("a refusal of what cannot be read is a header", () => {
    expect(refusal(Buffer.from("123428000001000000000000ffff", "hex"), 4).toString("hex")).toBe("1234a8040000000000000000");
  });

  it("a foreign answer that is too long becomes the sign that it is", () => {
    const query = queryOf(queryBytes(name));
    const long = Buffer.concat([queryBytes(name), Buffer.alloc(600)]);
    long.writeUInt16BE(0x8183, 2);
    expect(fittingReply(query, long, "tcp")).toBe(long);
    const cut = fittingReply(query, long, "udp");
    expect(decode(cut)).toMatchObject({ flag_tc: true, rcode: "NXDOMAIN", answers: [], questions: [{ name }] });
    const short = queryBytes(name);
    expect(fittingReply(query, short, "udp")).toBe(short);
  });

  it("only addresses of the Internet are ours", () => {
    expect(asksForAddresses(queryOf(queryBytes(name)))).toBe(true);
    expect(asksForAddresses(queryOf(queryBytes(name, "AAAA")))).toBe(true);
    expect(asksForAddresses(queryOf(queryBytes(name, "SRV")))).toBe(false);
    expect(asksForAddresses(queryOf(queryBytes(name, "A", { questions: [{ name, type: "A", class: "CH" }] })))).toBe(false);
  });
});
