import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RouteSpec, VirtualHostSpec } from "../../../src/config/snapshot.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import { RouteTable } from "../../../src/router/route-table.ts";

function route(name: string, uriPrefix: string | null = null): RouteSpec {
  return {
    name,
    match: {
      uri: uriPrefix === null ? null : { kind: "prefix", value: uriPrefix },
      method: null, authority: null, scheme: null, headers: [], withoutHeaders: [], queryParams: [],
    },
    action: { kind: "direct-response", status: 200, body: "", clusterName: null },
    provenance: null,
  };
}
const virtualHost = (name: string, domains: string[], routes = [route(name)]): VirtualHostSpec => ({ name, domains, routes });
const get = (path = "/") => new RequestHead("GET", "ignored", path, new HeaderList());
const table = (...virtualHosts: VirtualHostSpec[]) => new RouteTable({ name: "80", virtualHosts });

describe("RouteTable", () => {
  const hosts = table(
    virtualHost("exact", ["a.test", "a.test.", "a"]),
    virtualHost("wide", ["*.test"]),
    virtualHost("narrow", ["*.b.test"]),
    virtualHost("address", ["[::1]", "10.0.0.1"]),
    virtualHost("late", ["a.test", "late.test"]),
    virtualHost("any", ["*"]),
  );

  it.each([["a.test", "exact"], ["a", "exact"], ["c.test", "wide"], ["x.y.test", "wide"], ["c.b.test", "narrow"], ["x.c.b.test", "narrow"],
    ["b.test", "wide"], ["test", "any"], ["[::1]", "address"], ["10.0.0.1", "address"], ["late.test", "late"], ["other", "any"], ["", "any"]])(
    "sends host %j to %s", (host, expected) => {
      expect(hosts.find(get(), host)?.name).toBe(expected);
    });

  it("finds nothing without a catch-all", () => {
    expect(table(virtualHost("a", ["a"])).find(get(), "b")).toBeNull();
  });

  it("takes the first route whose conditions hold", () => {
    const routes = [route("deep", "/a/b"), route("a", "/a"), route("late", "/a/b/c")];
    const one = table(virtualHost("v", ["*"], routes));
    expect(one.find(get("/a/b/c?x=/"), "h")?.name).toBe("deep");
    expect(one.find(get("/a"), "h")?.name).toBe("a");
    expect(one.find(get("/b"), "h")).toBeNull();
  });

  it("explains what it tried", () => {
    const one = table(virtualHost("v", ["h"], [route("a", "/a"), route("b", "/b"), route("c", "/c")]));
    const explanation = one.explainFind(get("/b"), "h");
    expect(explanation.virtualHost).toBe("v");
    expect(explanation.tried.map(({ route: tried, failed }) => [tried.name, failed?.condition ?? null])).toEqual([["a", "uri"], ["b", null]]);
    expect(one.explainFind(get("/"), "x")).toEqual({ virtualHost: null, tried: [] });
  });

  it("agrees with a scan of all domains", () => {
    const label = fc.constantFrom("a", "b", "c");
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
    const domain = fc.oneof(host, host.map((name) => `*.${name}`), fc.constant("*"));
    fc.assert(fc.property(fc.array(domain, { maxLength: 8 }), host, (domains, name) => {
      const candidates = [...domains.keys()].filter((index) => {
        const one = domains[index] as string;
        return one === "*" || one === name || (one.startsWith("*.") && name.endsWith(one.slice(1)));
      });
      const rank = (one: string) => (one === name ? 1000 : one.length);
      candidates.sort((x, y) => rank(domains[y] as string) - rank(domains[x] as string) || x - y);
      const expected = candidates[0] === undefined ? undefined : String(candidates[0]);
      return table(...domains.map((one, index) => virtualHost(String(index), [one]))).find(get(), name)?.name === expected;
    }), { numRuns: 2000 });
  });
});
