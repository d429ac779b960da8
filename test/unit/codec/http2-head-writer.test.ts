import { describe, expect, test } from "vitest";
import { DEFAULT_HTTP2_LIMITS } from "../../../src/codec/http2-limits.ts";
import { toRequestHead } from "../../../src/codec/http2-request-head.ts";
import { toResponseHead } from "../../../src/codec/http2-response-head.ts";
import { toTrailers } from "../../../src/codec/http2-trailers.ts";
import { RequestHead, ResponseHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { literalBlock } from "./http2-blocks.ts";
import { BlockDecoder, FrameSource } from "./http2-recording.ts";

const RULES = { maxTargetBytes: 8192, allowsConnect: true, allowsExtendedConnect: true, restoresSpelling: true };

/** Two ends of a hop. */
class Hop {
  readonly source: FrameSource;
  readonly blocks = new BlockDecoder(DEFAULT_HTTP2_LIMITS, true);
  /** Octets of the last block. */
  length = 0;

  constructor(carriesSpelling = true) {
    this.source = new FrameSource(carriesSpelling);
  }

  request(head: RequestHead, ends = true): RequestHead {
    this.source.heads.request(1, head, ends);
    return toRequestHead(this.#decode(), ends, RULES);
  }

  response(head: ResponseHead, contentLength = -1, ends = true): ResponseHead {
    this.source.heads.response(1, head, contentLength, ends);
    return toResponseHead(this.#decode(), ends, { method: "GET", upgrade: null }, true);
  }

  trailers(trailers: HeaderList): [string, string][] | undefined {
    this.source.heads.trailers(1, trailers);
    return toTrailers(this.#decode(), true, 8192, true)?.toPairs();
  }

  #decode() {
    const frames = this.source.take();
    this.length = frames.length - 9;
    return this.blocks.decodeFrames(frames);
  }
}

function request(...fields: [string, string][]): RequestHead {
  return new RequestHead("GET", "a.test", "/x", HeaderList.of(...fields));
}

describe("to any peer", () => {
  test("a request arrives as HTTP/2, with nothing private", () => {
    const hop = new Hop(false);
    const head = new RequestHead("POST", "a.test", "/x", HeaderList.of(["X-A", "1"], ["TE", "trailers"]), 5);
    head.scheme = "https";
    head.expectsContinue = true;
    head.hostName = "HOST";
    const read = hop.request(head, false);
    expect(read).toMatchObject({ method: "POST", authority: "a.test", path: "/x", scheme: "https", contentLength: 5, expectsContinue: true, version: "HTTP/2", hostName: "Host" });
    expect(read.headers.toPairs()).toEqual([["x-a", "1"], ["te", "trailers"]]);
  });

  test("a response, with the length that is announced", () => {
    const read = new Hop(false).response(new ResponseHead(201, "Created", HeaderList.of(["Server", "x"]), 7), 7, false);
    expect(read).toMatchObject({ status: 201, contentLength: 7, reason: "Created", version: "HTTP/2" });
    expect(read.headers.toPairs()).toEqual([["server", "x"]]);
  });

  test("an upgrade goes as extended CONNECT, and 101 as 200", () => {
    const head = request(["Sec-WebSocket-Version", "13"]);
    head.upgrade = "websocket";
    expect(new Hop(false).request(head, false)).toMatchObject({ method: "GET", upgrade: "websocket", path: "/x" });
    expect(new Hop(false).response(new ResponseHead(101, "", new HeaderList(), -1), -1, false).status).toBe(200);
  });

  test("CONNECT has neither scheme nor path", () => {
    expect(new Hop(false).request(new RequestHead("CONNECT", "a.test:443", "", new HeaderList()), false)).toMatchObject({ method: "CONNECT", path: "" });
  });

  test("fields of HTTP/1 and ours, that configuration added, are left out", () => {
    const fields: [string, string][] = [["Connection", "close"], ["Keep-Alive", "x"], ["Transfer-Encoding", "chunked"], ["Upgrade", "x"], ["Host", "b"], ["Content-Length", "9"], ["TE", "gzip"],
      ["X-Outrider-Spelling", "X-B"], ["X-B", "1"]];
    expect(new Hop(false).request(request(...fields)).headers.toPairs()).toEqual([["x-b", "1"]]);
    expect(new Hop(true).request(request(...fields)).headers.toPairs()).toEqual([["X-B", "1"]]);
  });

  test("nothing is written of what cannot be (CVE-2023-27493), and the connection goes on", () => {
    const hop = new Hop();
    hop.request(request(["X-A", "1"]));
    for (const bad of [request(["x", "a\r\nb"]), new RequestHead("GET", "a\r\n", "/", new HeaderList()), new RequestHead("GET", "a", "/\u0100", new HeaderList())]) {
      expect(() => hop.source.heads.request(1, bad, true)).toThrow("unwritable");
    }
    expect(() => hop.source.heads.trailers(1, HeaderList.of(["x", "\0"]))).toThrow("unwritable");
    expect(hop.source.take()).toHaveLength(0);
    expect(hop.request(request(["X-A", "1"])).headers.toPairs()).toEqual([["X-A", "1"]]);
  });

  test("never-indexed fields go on as such", () => {
    const head = request(["x-secret", "1"]);
    head.headers.markSensitive("x-secret");
    const hop = new Hop(false);
    for (let round = 0; round < 3; round++) expect(hop.request(new RequestHead("GET", "a.test", "/x", head.headers.clone())).headers.sensitive).toEqual(["x-secret"]);
  });
});

describe("between two of us", () => {
  test("a request gets spelling, order, version and the name of Host back", () => {
    const head = request(["User-Agent", "x"], ["x-lower", "1"], ["X-MiXeD", "2"], ["accept", "3"], ["DNT", "4"]);
    head.version = "HTTP/1.0";
    head.hostName = "hOST";
    const hop = new Hop();
    for (let round = 0; round < 3; round++) {
      const read = hop.request(head);
      expect(read).toMatchObject({ version: "HTTP/1.0", hostName: "hOST" });
      expect(read.headers.toPairs()).toEqual(head.headers.toPairs());
      expect(read.headers.keys).toEqual(head.headers.keys);
    }
    // The same again: one octet a field, and one for the private field.
    expect(hop.length).toBe(5 + 4 + 1);
  });

  test("a request that came by HTTP/2 stays one", () => {
    const head = request(["x-a", "1"]);
    head.version = "HTTP/2";
    expect(new Hop().request(head).version).toBe("HTTP/2");
  });

  test("an HTTP/1 request all in lower case is one still", () => {
    expect(new Hop().request(request(["x-a", "1"])).version).toBe("HTTP/1.1");
    expect(new Hop().request(request()).version).toBe("HTTP/1.1");
  });

  test("fields of one name, spelled in different ways", () => {
    for (const names of [["x-a", "X-A"], ["X-A", "x-a"], ["X-A", "x-a", "X-A"], ["x-a", "x-a", "X-A", "x-b", "X-a"], ["X-A", "X-A"]]) {
      const fields = names.map((name, index): [string, string] => [name, String(index)]);
      expect(new Hop().request(request(["y", "y"], ...fields, ["Z", "z"])).headers.toPairs()).toEqual([["y", "y"], ...fields, ["Z", "z"]]);
    }
  });

  test("several cookies stay as they came, each in its place and spelling", () => {
    for (const [first, second, third] of [["Cookie", "cookie", "COOKIE"], ["cookie", "Cookie", "cookie"], ["cookie", "cookie", "cookie"]] as const) {
      const fields: [string, string][] = [["X", "1"], [first, "a=b"], ["x", "2"], [second, ""], ["X", "3"], [third, "c=d"]];
      expect(new Hop().request(request(...fields)).headers.toPairs()).toEqual(fields);
    }
  });

  test("several cookies of a request that is HTTP/2's become one where the first stood", () => {
    const head = request(["x", "1"], ["cookie", "a=b"], ["y", "2"], ["cookie", ""], ["cookie", "c=d"], ["z", "3"]);
    head.version = "HTTP/2";
    const { headers } = new Hop().request(head);
    expect(headers.toPairs()).toEqual([["x", "1"], ["cookie", "a=b; c=d"], ["y", "2"], ["z", "3"]]);
    expect(headers.keys).toEqual(["x", "cookie", "y", "z"]);
  });

  test("a response gets its reason back, whatever it was", () => {
    const hop = new Hop();
    for (const reason of ["OK", "", "Fine", "a;b", " padded ", ";", "obs \xe4\t."]) {
      const head = new ResponseHead(200, reason, HeaderList.of(["Content-Type", "text/plain"], ["etag", "x"]), -1);
      expect(hop.response(head)).toMatchObject({ reason, version: "HTTP/1.1" });
    }
    expect(hop.response(new ResponseHead(201, "Created", HeaderList.of(["A", "b"]), -1)).reason).toBe("Created");
    const old = new ResponseHead(200, "OK", HeaderList.of(["A", "b"]), -1);
    old.version = "HTTP/1.0";
    const read = hop.response(old);
    expect([read.version, read.headers.toPairs()]).toEqual(["HTTP/1.0", [["A", "b"]]]);
  });

  test("trailers", () => {
    expect(new Hop().trailers(HeaderList.of(["X-Checksum", "1"], ["x-b", "2"]))).toEqual([["X-Checksum", "1"], ["x-b", "2"]]);
    expect(new Hop().trailers(HeaderList.of(["x-b", "2"]))).toEqual([["x-b", "2"]]);
  });

  test("many shapes of heads in turn are not taken for each other", () => {
    const hop = new Hop();
    for (let round = 0; round < 600; round++) {
      const fields = Array.from({ length: 1 + (round % 7) }, (_, index): [string, string] => [(round * 31 + index) % 3 === 0 ? `X-A${index}` : `x-a${index}`, "1"]);
      expect(hop.request(request(...fields)).headers.toPairs()).toEqual(fields);
    }
  });

  test("a value none of us would send is refused", () => {
    const pseudo = [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "a.test"], ["x-a", "1"]] as const;
    for (const value of ["X-B", "X-A,X-A", "X-A,", ",", "@x", "@", "X-A;reason", "X-A;", "X A", "X-A,X:B", ":1"]) {
      const fields = new BlockDecoder().decode(literalBlock(...pseudo, ["x-outrider-spelling", value]));
      expect(() => toRequestHead(fields, true, RULES), value).toThrow("private field");
    }
    const twice = new BlockDecoder().decode(literalBlock(...pseudo, ["x-outrider-spelling", "X-A"], ["x-outrider-spelling", "X-A"]));
    expect(() => toRequestHead(twice, true, RULES)).toThrow("private field sent twice");
  });
});
