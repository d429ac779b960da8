import { describe, expect, it } from "vitest";
import type { SniRouteSpec } from "../../../src/config/snapshot.ts";
import { SniRoutes } from "../../../src/connection/sni-routes.ts";

const route = (name: string, ...sniHosts: string[]): SniRouteSpec => ({ sniHosts, clusters: [{ name, weight: 1 }], provenance: null });
const to = (routes: readonly SniRouteSpec[], serverName: string | null): string | undefined => new SniRoutes(routes).find(serverName)?.clusters[0]?.name;

describe("SNI routes", () => {
  const routes = [
    route("wide", "*.example.com"), route("narrow", "*.eu.example.com"), route("exact", "api.eu.example.com", "other.test"),
    route("second", "api.eu.example.com", "*.example.com", "second.test"),
  ];

  it.each([
    ["a.example.com", "wide"], ["a.b.example.com", "wide"], ["a.eu.example.com", "narrow"], ["api.eu.example.com", "exact"],
    ["other.test", "exact"], ["second.test", "second"],
  ])("%s goes to %s: the exact name, then the longest wildcard, then the first listed", (serverName, cluster) => {
    expect(to(routes, serverName)).toBe(cluster);
  });

  it.each(["example.com", ".example.com", "badexample.com", "example.com.evil.test", "", null])("%j is nobody's", (serverName) => {
    expect(to(routes, serverName)).toBeUndefined();
  });

  it("a star alone takes every name, and TLS without one, but only what nothing else takes", () => {
    const all = [route("any", "*"), ...routes, route("late", "*")];
    expect([null, "x.test", "example.com", "a.example.com"].map((name) => to(all, name))).toEqual(["any", "any", "any", "wide"]);
  });

  it("a wildcard may end within a label", () => {
    expect([to([route("w", "*-eu.test")], "api-eu.test"), to([route("w", "*-eu.test")], "-eu.test")]).toEqual(["w", undefined]);
  });

  it("finds one among many at a cost that does not depend on their number", () => {
    const many = Array.from({ length: 5000 }, (_, index) => route(`c${index}`, `*.h${String(index).padStart(4, "0")}.test`));
    expect(to(many, "www.h4321.test")).toBe("c4321");
  });
});
