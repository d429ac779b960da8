import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RouteMatchSpec } from "../../../src/config/snapshot.ts";
import type { StringMatchSpec } from "../../../src/core/string-match.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RouteMatch, chooseCluster, queryParam } from "../../../src/router/route-match.ts";

const EMPTY: RouteMatchSpec = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
const exact = (value: string): StringMatchSpec => ({ kind: "exact", value });
const prefix = (value: string): StringMatchSpec => ({ kind: "prefix", value });
const PRESENT: StringMatchSpec = { kind: "present", value: "" };

function head(path: string, ...headers: [string, string][]): RequestHead {
  return new RequestHead("GET", "a.test:8080", path, HeaderList.of(...headers));
}
function holds(match: Partial<RouteMatchSpec>, request: RequestHead): boolean {
  const [path = "", query = null] = request.path.split("?", 2);
  return new RouteMatch({ ...EMPTY, ...match }).holds(request, path, query);
}

describe("RouteMatch (spec/03 3.2)", () => {
  it("holds without conditions", () => {
    expect(holds({}, head("/"))).toBe(true);
  });

  it("tests uri on the path without query; a prefix is a plain string", () => {
    expect(holds({ uri: prefix("/foo") }, head("/foobar"))).toBe(true);
    expect(holds({ uri: exact("/foo") }, head("/foo?x=1"))).toBe(true);
    expect(holds({ uri: exact("/foo") }, head("/Foo"))).toBe(false);
    expect(holds({ uri: { kind: "exact", value: "/foo", ignoreCase: true } }, head("/FOO"))).toBe(true);
    expect(holds({ uri: { kind: "regex", value: "/v[0-9]+" } }, head("/v10?a"))).toBe(true);
    expect(holds({ uri: { kind: "regex", value: "/v[0-9]+" } }, head("/v10/x"))).toBe(false);
  });

  it("tests method, scheme, and authority as sent with its port", () => {
    expect(holds({ method: exact("GET") }, head("/"))).toBe(true);
    expect(holds({ method: exact("get") }, head("/"))).toBe(false);
    expect(holds({ authority: exact("a.test:8080") }, head("/"))).toBe(true);
    expect(holds({ authority: exact("a.test") }, head("/"))).toBe(false);
    expect(holds({ scheme: exact("http") }, head("/"))).toBe(true);
    expect(holds({ authority: PRESENT }, head("/"))).toBe(true);
  });

  it("joins a repeated header with a comma before matching", () => {
    const request = head("/", ["X-Role", "user"], ["x-role", "admin"]);
    expect(holds({ headers: [{ name: "x-role", match: exact("user,admin") }] }, request)).toBe(true);
    expect(holds({ headers: [{ name: "x-role", match: exact("user") }] }, request)).toBe(false);
  });

  it("wants a header to exist and to match; presence takes an empty value", () => {
    expect(holds({ headers: [{ name: "x", match: prefix("") }] }, head("/"))).toBe(false);
    expect(holds({ headers: [{ name: "x", match: PRESENT }] }, head("/"))).toBe(false);
    expect(holds({ headers: [{ name: "x", match: PRESENT }] }, head("/", ["x", ""]))).toBe(true);
  });

  it("reads fields the codec keeps apart", () => {
    const request = head("/x?y");
    request.upgrade = "websocket";
    request.contentLength = 5;
    expect(holds({ headers: [{ name: "upgrade", match: exact("websocket") }] }, request)).toBe(true);
    expect(holds({ headers: [{ name: "host", match: exact("a.test:8080") }] }, request)).toBe(true);
    expect(holds({ headers: [{ name: ":path", match: exact("/x?y") }] }, request)).toBe(true);
    expect(holds({ headers: [{ name: "content-length", match: exact("5") }] }, request)).toBe(true);
    expect(holds({ headers: [{ name: "content-length", match: PRESENT }] }, head("/"))).toBe(false);
  });

  it("takes a missing header for the empty string in withoutHeaders", () => {
    expect(holds({ withoutHeaders: [{ name: "x", match: exact("a") }] }, head("/"))).toBe(true);
    expect(holds({ withoutHeaders: [{ name: "x", match: exact("a") }] }, head("/", ["x", "a"]))).toBe(false);
    expect(holds({ withoutHeaders: [{ name: "x", match: exact("a") }] }, head("/", ["x", "b"]))).toBe(true);
    expect(holds({ withoutHeaders: [{ name: "x", match: { kind: "regex", value: ".*" } }] }, head("/"))).toBe(false);
    expect(holds({ withoutHeaders: [{ name: "x", match: PRESENT }] }, head("/"))).toBe(true);
    expect(holds({ withoutHeaders: [{ name: "x", match: PRESENT }] }, head("/", ["x", ""]))).toBe(false);
  });

  it("tests the first raw value of a query parameter", () => {
    const param = (match: StringMatchSpec) => ({ queryParams: [{ name: "q", match }] });
    expect(holds(param(exact("a")), head("/?q=a&q=b"))).toBe(true);
    expect(holds(param(exact("b")), head("/?q=a&q=b"))).toBe(false);
    expect(holds(param(exact("a b")), head("/?q=a%20b"))).toBe(false);
    expect(holds(param(PRESENT), head("/?q"))).toBe(true);
    expect(holds(param(PRESENT), head("/?xq=1&qq=2"))).toBe(false);
    expect(holds(param(PRESENT), head("/"))).toBe(false);
  });

  it("explains the first condition that fails with what it saw", () => {
    const match = new RouteMatch({ ...EMPTY, uri: prefix("/a"), headers: [{ name: "x", match: exact("1") }] });
    expect(match.explain(head("/b"), "/b", null)).toEqual({ condition: "uri", wanted: prefix("/a"), got: "/b" });
    expect(match.explain(head("/a"), "/a", null)).toEqual({ condition: "headers.x", wanted: exact("1"), got: null });
    expect(match.explain(head("/a", ["x", "1"]), "/a", null)).toBeNull();
  });
});

describe("queryParam", () => {
  it("agrees with splitting the query", () => {
    const text = fc.array(fc.constantFrom("a", "b", "&", "=", "ab"), { maxLength: 12 }).map((parts) => parts.join(""));
    fc.assert(fc.property(text, fc.constantFrom("a", "b", "ab"), (query, name) => {
      const pair = query.split("&").find((part) => part === name || part.startsWith(`${name}=`));
      const expected = pair === undefined ? undefined : pair.slice(name.length + 1);
      return queryParam(query, name) === expected;
    }), { numRuns: 3000 });
  });
});

describe("chooseCluster", () => {
  const clusters = [{ name: "v1", weight: 90 }, { name: "v2", weight: 10 }];

  it("draws in proportion to the weights", () => {
    let seed = 0;
    const counts = new Map<string, number>();
    for (let n = 0; n < 1000; n++) {
      const { name } = chooseCluster(clusters, () => (seed++ % 1000) / 1000);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(Object.fromEntries(counts)).toEqual({ v1: 900, v2: 100 });
  });

  it("takes the only one whatever its weight, and stays in bounds at the edges", () => {
    expect(chooseCluster([{ name: "only", weight: 0 }], () => 0.5).name).toBe("only");
    expect(chooseCluster(clusters, () => 0).name).toBe("v1");
    expect(chooseCluster(clusters, () => 1 - Number.EPSILON).name).toBe("v2");
  });
});
