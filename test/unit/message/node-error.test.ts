import { describe, expect, it } from "vitest";

import { fromNodeError } from "../../../src/message/node-error.ts";

function nodeError(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

describe("fromNodeError", () => {
  it.each([
    ["ECONNREFUSED", "connect_failure", "10.0.0.1:80: connection refused"],
    ["EHOSTUNREACH", "connect_failure", "10.0.0.1:80: host unreachable"],
    ["ECONNRESET", "connect_failure", "10.0.0.1:80: connection reset by peer"],
    ["ENOTFOUND", "connect_failure", "10.0.0.1:80: host name not found"],
    ["ETIMEDOUT", "connect_timeout", "10.0.0.1:80: connection timed out"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "tls_failure", "10.0.0.1:80: ERR_SSL_WRONG_VERSION_NUMBER"],
    ["EWHATEVER", "connect_failure", "10.0.0.1:80: EWHATEVER"],
  ])("calls %s while connecting %s", (code, ours, reason) => {
    expect(fromNodeError(nodeError(code), "10.0.0.1:80", "connect")).toMatchObject({ code: ours, reason, onReusedConnection: false });
  });

  it.each(["ECONNRESET", "EPIPE", "ETIMEDOUT"])("calls %s on a connection that was ready a disconnect", (code) => {
    expect(fromNodeError(nodeError(code), "10.0.0.1:80", "established", true)).toMatchObject({ code: "upstream_disconnect", onReusedConnection: true });
  });

  it("reads the first of the errors a name with several addresses gives", () => {
    const error = new AggregateError([nodeError("ECONNREFUSED"), nodeError("EHOSTUNREACH")]);
    expect(fromNodeError(error, "db:5432", "connect")).toMatchObject({ code: "connect_failure", reason: "db:5432: connection refused" });
  });
});
