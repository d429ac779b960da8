import { describe, expect, it } from "vitest";
import { parseExplainLine, parseExplainRequest } from "../../../src/explain/explain-request.ts";

describe("a request to explain", () => {
  it("has a default for all that is not said", () => {
    expect(parseExplainRequest({ url: "http://a/" }, "outbound")).toEqual({
      direction: "outbound", from: null, to: null, method: "GET", url: "http://a/", headers: [], sourceIp: null, tls: null, sni: null, protocol: "http", jwt: null,
    });
  });

  it.each([
    [{ url: "/" }, 'direction: is required, "inbound" or "outbound"'],
    [{ direction: "sideways", url: "/" }, 'direction: must be one of inbound, outbound, not "sideways"'],
    [{ direction: "inbound" }, "url: is required"],
    [{ direction: "inbound", protocol: "tcp" }, "to: is required for tcp: HOST:PORT"],
    [{ direction: "inbound", url: "/", form: "x" }, 'form: unknown field; did you mean "from"?'],
    [{ direction: "inbound", url: "/", from: "productpage" }, 'from: must be a SPIFFE ID, spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, not "productpage"'],
    [{ direction: "inbound", url: "/", headers: { a: "1" } }, "headers: must be a list of [name, value] pairs, not a mapping"],
    [{ direction: "inbound", url: "/", headers: [["a"]] }, "headers.0: must be a pair of name and value"],
    [{ direction: "inbound", url: "/", headers: [["a b", "1"]] }, 'headers.0: "a b" is no header name'],
    [{ direction: "inbound", url: "/", headers: [["a", "1\r\nHost: evil"]] }, "headers.0: a value may hold no line break and no NUL"],
    [{ direction: "inbound", url: "/ HTTP/1.1\r\nHost: evil" }, "url: may hold no line break and no NUL"],
    [{ direction: "inbound", url: "/", sourceIp: "home" }, 'sourceIp: must be an IP address, not "home"'],
    [{ direction: "inbound", url: "/", tls: "yes" }, 'tls: must be true or false, not "yes"'],
    ["GET /", 'must be a mapping, not "GET /"'],
  ])("%j is refused", (input, message) => {
    expect(() => parseExplainRequest(input)).toThrow(message);
  });

  it("on a line of a file is refused with the line", () => {
    expect(() => parseExplainLine("{", 7)).toThrow(/^line 7: is not JSON: /);
    expect(() => parseExplainLine('{"direction":"inbound"}', 8)).toThrow("line 8: url: is required");
  });
});
