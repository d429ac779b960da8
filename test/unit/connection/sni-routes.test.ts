import { describe, expect, it } from "vitest";
import type { SniRouteSpec } from "../../../src/config/snapshot.ts";
import { SniRoutes } from "../../../src/connection/sni-routes.ts";
import { clientHello, inRecords, sniExtension } from "./hello-bytes.ts";

const DIALLED = "192.0.2.7";
const route = (name: string, ...sniHosts: string[]): SniRouteSpec => ({ sniHosts, clusters: [{ name, weight: 1 }], provenance: null });
const to = (routes: readonly SniRouteSpec[], serverName: string | null): string | undefined => new SniRoutes(routes).find(serverName, DIALLED)?.clusters[0]?.name;

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

describe("SNI routes with destination subnets (spec/03 3.12)", () => {
  const within = (name: string, subnets: readonly string[], ...sniHosts: string[]): SniRouteSpec => ({ ...route(name, ...sniHosts), destinationSubnets: subnets });
  const routes = new SniRoutes([
    route("anywhere", "api.test", "elsewhere.test"), within("wide", ["10.0.0.0/8", "2001:db8::/32"], "*.test"), within("narrow", ["10.1.0.0/16"], "api.test"),
    within("second", ["10.1.0.0/16"], "api.test", "second.test"),
  ]);

  it.each([
    ["10.1.2.3", "api.test", "narrow"], ["10.1.2.3", "second.test", "second"], ["10.1.2.3", "www.test", "wide"], ["10.2.0.1", "api.test", "wide"],
    ["::ffff:10.1.2.3", "api.test", "narrow"], ["2001:db8::1", "api.test", "wide"], ["2001:db9::1", "api.test", "anywhere"],
    ["192.0.2.1", "elsewhere.test", "anywhere"], ["192.0.2.1", "www.test", undefined], ["10.1.2.3", null, undefined], ["no address", "api.test", "anywhere"],
  ])("%s %s goes to %s: the narrowest block that has the name, then wider ones, then any address", (address, serverName, cluster) => {
    expect(routes.find(serverName, address)?.clusters[0]?.name).toBe(cluster);
  });
});

describe("the first bytes", () => {
  const routes = new SniRoutes([route("any", "*"), route("api", "api.test")]);
  const hello = (...names: string[]): Buffer => inRecords(clientHello(names.map(sniExtension)), 40);
  const seen = (bytes: Buffer): unknown => {
    const inspected = routes.inspect(bytes, DIALLED);
    return typeof inspected === "string" ? inspected : [inspected.serverName, inspected.route?.clusters[0]?.name];
  };

  it("name the server in any spelling, over any number of records", () => {
    expect([seen(hello("API.test.")), seen(hello("x.test")), seen(hello())]).toEqual([["api.test", "api"], ["x.test", "any"], [null, "any"]]);
  });

  it("are never taken for something else once they begin TLS", () => {
    const whole = hello("api.test");
    for (let length = 1; length < whole.length; length++) expect(seen(whole.subarray(0, length))).toBe("incomplete");
    expect(seen(hello("api.test", "x.test"))).toEqual([null, undefined]);
    expect(seen(Buffer.from("GET / HTTP/1.1\r\n"))).toBe("not-tls");
  });
});
