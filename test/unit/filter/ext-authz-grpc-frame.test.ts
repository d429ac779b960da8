import { describe, expect, test } from "vitest";
import { frameMessage, readOutcome } from "../../../src/filter/ext-authz-grpc-frame.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const GRPC: [string, string] = ["content-type", "application/grpc"];
const OK = HeaderList.of(["grpc-status", "0"]);

function answer(body: Buffer, { status = 200, headers = HeaderList.of(GRPC), trailers = OK as HeaderList | null } = {}) {
  return readOutcome({ status, headers, trailers, body });
}

describe("the answer to a unary call", () => {
  test("one message and status 0", () => {
    const message = Buffer.from("hello");
    expect(answer(frameMessage(message))).toEqual({ message });
    expect(answer(frameMessage(Buffer.alloc(0)))).toEqual({ message: Buffer.alloc(0) });
    expect(frameMessage(Buffer.alloc(300)).subarray(0, 5).toString("hex")).toBe("000000012c");
  });

  test.each([
    ["a status in the trailers", { trailers: HeaderList.of(["grpc-status", "14"], ["grpc-message", "busy"]) }, "gRPC status 14: busy"],
    ["a status in the head", { trailers: null, headers: HeaderList.of(GRPC, ["grpc-status", "7"]) }, "gRPC status 7"],
    ["one that contradicts itself", { headers: HeaderList.of(GRPC, ["grpc-status", "0"]), trailers: HeaderList.of(["grpc-status", "2"]) }, "gRPC status 2"],
    ["a status that is no number", { trailers: HeaderList.of(["grpc-status", "x\u001b[31m"]) }, "a gRPC status that is no number"],
    ["no status", { trailers: null }, "no gRPC status"],
    ["HTTP status 503", { status: 503 }, "HTTP status 503"],
    ["a page", { headers: HeaderList.of(["content-type", "text/html"]) }, "an answer that is not gRPC's"],
  ])("%s", (_about, options, failure) => {
    expect(answer(frameMessage(Buffer.from("x")), options)).toEqual({ failure });
  });

  test.each([
    ["no message", "", "no message"],
    ["half a prefix", "0000", "a message that is cut short"],
    ["a compressed message", "010000000161", "a compressed message"],
    ["a message that is cut", "000000000261", "another length than the message has"],
    ["two messages", "000000000161" + "000000000161", "another length than the message has"],
    ["a length of 4 GB", "00ffffffff61", "another length than the message has"],
  ])("%s", (_about, hex, failure) => {
    expect(answer(Buffer.from(hex, "hex"))).toEqual({ failure });
  });
});
