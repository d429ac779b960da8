import { beforeAll, describe, expect, it } from "vitest";
import { loadHash64, requireHash64 } from "../../../src/cluster/hash64.ts";
import { RequestHasher } from "../../../src/cluster/request-hash.ts";
import type { HashKeySpec } from "../../../src/config/snapshot-cluster.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const FACTS: ConnectionFacts = { remote: { address: "10.0.0.7", port: 4711 }, local: { address: "10.96.0.10", port: 9080 }, isCaptured: true, tls: null };
beforeAll(loadHash64);

const of = (text: string, seed = 0n): bigint => requireHash64()(Buffer.from(text, "latin1"), seed);

function hash(key: HashKeySpec, { path = "/", fields = [] }: { path?: string; fields?: readonly (readonly [string, string])[] }): bigint | null {
  const head = new RequestHead("GET", "reviews", path, HeaderList.of(...fields));
  return new RequestHasher(key).of(head, FACTS)?.hash ?? null;
}

describe("what is hashed of a request (spec/04 4.2)", () => {
  it("a header, in latin1 as it is on the wire", () => {
    expect(hash({ kind: "header", name: "x-user" }, { fields: [["X-User", "j\u00f6rg"]] })).toBe(of("j\u00f6rg"));
    expect(hash({ kind: "header", name: "x-user" }, {})).toBeNull();
  });

  it("a header of several lines, in whatever order they came", () => {
    const expected = of("b", of("a"));
    expect(hash({ kind: "header", name: "x-user" }, { fields: [["x-user", "b"], ["x-user", "a"]] })).toBe(expected);
    expect(hash({ kind: "header", name: "x-user" }, { fields: [["x-user", "a"], ["x-user", "b"]] })).toBe(expected);
  });

  it.each([["/?user=a", "a"], ["/?user=%61", "%61"], ["/?x=1&user=a&user=b", "a"], ["/?user", ""], ["/?user=", ""]])("a query parameter of %s", (path, value) => {
    expect(hash({ kind: "query", name: "user" }, { path })).toBe(of(value));
  });

  it.each(["/", "/?", "/?users=a", "/user=a"])("no query parameter in %s", (path) => {
    expect(hash({ kind: "query", name: "user" }, { path })).toBeNull();
  });

  const cookie: HashKeySpec = { kind: "cookie", name: "user", path: "/", ttlSeconds: null, attributes: [] };
  it.each(["user=a", "x=1; user=a", "x=user;user=\"a\"; y=2"])("the cookie of %s", (value) => {
    expect(hash(cookie, { fields: [["cookie", value]] })).toBe(of("a"));
  });

  it("no cookie, and none is made without a ttl", () => {
    expect(hash(cookie, { fields: [["cookie", "users=a; user="]] })).toBeNull();
    expect(new RequestHasher({ ...cookie, ttlSeconds: 0 }).of(new RequestHead("GET", "reviews", "/", new HeaderList()), FACTS)?.setCookie).toMatch(/^user="[0-9a-f]{16}"; Path=\/; HttpOnly$/);
  });

  it("the source address, without its port; of an opaque connection nothing else", () => {
    expect(hash({ kind: "source-ip" }, {})).toBe(of("10.0.0.7"));
    expect(new RequestHasher({ kind: "source-ip" }).ofConnection(FACTS)).toBe(of("10.0.0.7"));
    expect(new RequestHasher({ kind: "header", name: "x-user" }).ofConnection(FACTS)).toBeNull();
  });
});
