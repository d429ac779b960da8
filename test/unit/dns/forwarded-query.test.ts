import { encode } from "dns-packet";
import { describe, expect, it } from "vitest";

import { ForwardedQuery } from "../../../src/dns/upstream-exchange.ts";
import { queryBytes, queryOf } from "./queries.ts";

const bytes = queryBytes("WWW.example", "TXT");

/** An answer to `forwarded`, then changed. */
function replyTo(forwarded: ForwardedQuery, change: (reply: Buffer) => Buffer | void = () => undefined): Buffer {
  const reply = encode({
    type: "response", id: forwarded.message.readUInt16BE(0), flags: 0x0180, questions: [{ name: "WWW.example", type: "TXT", class: "IN" }],
    answers: [{ type: "TXT", name: "WWW.example", data: "hello" }],
  });
  return change(reply) ?? reply;
}

describe("a forwarded query", () => {
  it("is the client's, but for an id of its own", () => {
    const ids = new Set(Array.from({ length: 64 }, () => {
      const { message } = new ForwardedQuery(queryOf(bytes));
      expect(message.subarray(2)).toEqual(bytes.subarray(2));
      return message.readUInt16BE(0);
    }));
    // Of 65536 ids: that 64 of them are fewer than 50 different ones does not happen.
    expect(ids.size).toBeGreaterThan(50);
    expect(bytes.readUInt16BE(0)).toBe(0x1234);
  });

  it("takes the answer under the client's id", () => {
    const forwarded = new ForwardedQuery(queryOf(bytes));
    const reply = replyTo(forwarded);
    const accepted = forwarded.acceptReply(reply);
    expect(accepted?.readUInt16BE(0)).toBe(0x1234);
    expect(accepted?.subarray(2)).toEqual(reply.subarray(2));
  });

  it("writes the question back as the client wrote it", () => {
    const forwarded = new ForwardedQuery(queryOf(bytes));
    const accepted = forwarded.acceptReply(replyTo(forwarded, (reply) => void reply.write("www", 13)));
    expect(accepted?.toString("latin1", 13, 16)).toBe("WWW");
  });

  it("takes a failure without a question", () => {
    const forwarded = new ForwardedQuery(queryOf(bytes));
    const refused = replyTo(forwarded, (reply) => {
      const header = Buffer.from(reply.subarray(0, 12));
      header.writeUInt16BE(0x8181, 2);
      header.fill(0, 4);
      return header;
    });
    expect(forwarded.acceptReply(refused)).toHaveLength(12);
    refused.writeUInt16BE(0x8180, 2);
    expect(forwarded.acceptReply(refused)).toBeNull();
  });

  it.each<[string, (reply: Buffer) => Buffer | void]>([
    ["another id", (reply) => void reply.writeUInt16BE((reply.readUInt16BE(0) + 1) & 0xffff, 0)],
    ["a query", (reply) => void reply.writeUInt16BE(0x0100, 2)],
    ["another operation", (reply) => void reply.writeUInt16BE(0xa180, 2)],
    ["another name", (reply) => void reply.write("WWX", 13)],
    ["another type", (reply) => void reply.writeUInt16BE(1, queryOf(bytes).questionEnd - 4)],
    ["another class", (reply) => void reply.writeUInt16BE(3, queryOf(bytes).questionEnd - 2)],
    ["no question", (reply) => void reply.writeUInt16BE(0, 4)],
    ["two questions", (reply) => void reply.writeUInt16BE(2, 4)],
    ["cut within the question", (reply) => reply.subarray(0, 20)],
    ["cut within the header", (reply) => reply.subarray(0, 11)],
    ["nothing", () => Buffer.alloc(0)],
  ])("does not take %s", (_what, change) => {
    const forwarded = new ForwardedQuery(queryOf(bytes));
    expect(forwarded.acceptReply(replyTo(forwarded, change))).toBeNull();
  });
});
