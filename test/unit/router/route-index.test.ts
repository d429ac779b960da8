import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RouteMatchSpec, RouteSpec, VirtualHostSpec } from "../../../src/config/snapshot.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RouteIndex } from "../../../src/router/route-index.ts";
import { CompiledRoute } from "../../../src/router/route-match.ts";
import { RouteTable } from "../../../src/router/route-table.ts";

const NOTHING: RouteMatchSpec = { uri: null, method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [] };
const routeOf = (name: string, match: Partial<RouteMatchSpec>): RouteSpec =>
  ({ name, match: { ...NOTHING, ...match }, action: { kind: "direct-response", status: 200, body: "", clusterName: null }, provenance: null });

/** Paths of few letters, so that they often begin, equal or miss each other. */
const segment = fc.constantFrom("a", "b", "ab", "A", "ä", "");
const path = fc.array(segment, { maxLength: 4 }).map((segments) => `/${segments.join("/")}`);
const uri = fc.oneof(
  fc.record({ kind: fc.constantFrom("exact" as const, "prefix" as const), value: path }),
  fc.record({ kind: fc.constantFrom("exact" as const, "prefix" as const), value: path.map((text) => text.toLowerCase()), ignoreCase: fc.constant(true) }),
  fc.record({ kind: fc.constant("prefix" as const), value: fc.constantFrom("", "a", "/a/") }),
  fc.record({ kind: fc.constant("regex" as const), value: fc.constantFrom("/a.*", ".*b", "/(a|b)/.*") }),
);
const match = fc.record({
  uri: fc.option(uri),
  method: fc.option(fc.constant({ kind: "exact" as const, value: "POST" }), { freq: 3 }),
});
const routes = (minLength: number) => fc.array(match, { minLength, maxLength: 40 }).map((list) => list.map((each, index) => routeOf(String(index), each)));
// What the wire brings is latin1; what was configured is text.
const request = fc.tuple(fc.constantFrom("GET", "POST"), path)
  .map(([method, text]) => new RequestHead(method, "h", Buffer.from(text, "utf8").toString("latin1"), new HeaderList()));

describe("RouteIndex", () => {
  it("finds what a look at one route after another finds", () => {
    let found = 0;
    fc.assert(fc.property(routes(0), fc.array(request, { minLength: 1, maxLength: 10 }), (list, requests) => {
      const compiled = list.map((spec) => new CompiledRoute(spec));
      const index = new RouteIndex(compiled);
      for (const head of requests) {
        const first = compiled.find((route) => route.match.holds(head, head.path, null)) ?? null;
        expect(index.find(head, head.path, null)).toBe(first);
        if (first !== null && first.spec.match.uri !== null) found++;
      }
    }), { numRuns: 1000 });
    expect(found).toBeGreaterThan(500);
  });

  it("compares a request with few of many routes", () => {
    let compared = 0;
    const compiled = Array.from({ length: 500 }, (_, index) => {
      const route = new CompiledRoute(routeOf(String(index), { uri: { kind: index % 2 === 0 ? "prefix" : "exact", value: `/api/v${index}/items` } }));
      const holds = route.match.holds.bind(route.match);
      route.match.holds = (...args) => (compared++, holds(...args));
      return route;
    });
    const index = new RouteIndex([...compiled, new CompiledRoute(routeOf("last", {}))]);
    const find = (text: string) => index.find(new RequestHead("GET", "h", text, new HeaderList()), text, null)?.spec.name;
    expect([find("/api/v498/items/7"), find("/api/v499/items"), find("/api/v499/items/7"), find("/")]).toEqual(["498", "499", "last", "last"]);
    expect(compared).toBe(2);
  });

  it("holds prefixes of which each begins the next, however many", () => {
    const compiled = Array.from({ length: 2000 }, (_, index) => new CompiledRoute(routeOf(String(index), { uri: { kind: "prefix", value: "a".repeat(index % 1900) } })));
    const text = "a".repeat(6000);
    expect(new RouteIndex(compiled).find(new RequestHead("GET", "h", text, new HeaderList()), text, null)?.spec.name).toBe("0");
  });
});

describe("RouteTable", () => {
  it("finds what it explains, with few routes and with many", () => {
    fc.assert(fc.property(routes(0), request, (list, head) => {
      const table = new RouteTable({ name: "80", virtualHosts: [{ name: "v", domains: ["*"], routes: list }] });
      const { tried } = table.explainFind(head, "h");
      const last = tried.at(-1);
      expect(table.find(head, "h")).toBe(last?.failed === null ? last.route : null);
      expect(tried.map(({ route }) => route)).toEqual(list.slice(0, tried.length));
    }), { numRuns: 300 });
  });

  it("refuses a regex that is none at once, not when a request comes", () => {
    const bad: VirtualHostSpec = { name: "v", domains: ["*"], routes: [routeOf("bad", { headers: [{ name: "x", match: { kind: "regex", value: "(" } }] })] };
    expect(() => new RouteTable({ name: "80", virtualHosts: [bad] })).toThrow();
  });
});
