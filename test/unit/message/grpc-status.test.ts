import { describe, expect, it } from "vitest";

import { grpcReplyHead, grpcStatusOf, httpStatusOf } from "../../../src/message/grpc-status.ts";
import { toLocalReply } from "../../../src/message/local-reply.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";

describe("gRPC status", () => {
  it.each([[400, 13], [401, 16], [403, 7], [404, 12], [429, 14], [502, 14], [503, 14], [504, 14], [431, 2], [500, 2], [507, 2]])("a local %i is status %i", (http, grpc) => {
    expect(grpcStatusOf(http)).toBe(grpc);
  });

  it.each([[0, 200], [1, 499], [2, 500], [3, 400], [4, 504], [5, 404], [6, 409], [7, 403], [8, 429], [9, 400], [10, 409], [11, 400], [12, 501], [13, 500], [14, 503], [15, 500], [16, 401], [17, 500]])("status %i counts as %i", (grpc, http) => {
    expect(httpStatusOf(grpc)).toBe(http);
  });

  it("a denial is a trailers-only answer", () => {
    const head = grpcReplyHead(toLocalReply(new ProxyError("rbac_denied", "none")));
    expect(head).toMatchObject({ status: 200, contentLength: 0 });
    expect(head.headers.toPairs()).toEqual([
      ["content-type", "application/grpc"], ["grpc-status", "7"], ["grpc-message", "RBAC: access denied"], ["x-outrider-error", "rbac_denied"],
    ]);
  });

  it("a message that could end the field is escaped", () => {
    const reply = { status: 503, headers: [], body: "100 % of\r\nx: ü", flag: "-", details: "" };
    expect(grpcReplyHead(reply).headers.get("grpc-message")).toBe("100 %25 of%0D%0Ax: %C3%BC");
  });
});
