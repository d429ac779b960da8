import { describe, expect, test } from "vitest";
import type { OutboundListenerSpec } from "../../../../src/config/snapshot.ts";
import { REVIEWS, compileYaml, listenerOf, tableOf } from "./compile-yaml.ts";

const document = (kind: string, name: string, spec: string, created = "2024-01-01T00:00:00Z"): string => `
---
apiVersion: networking.istio.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: default, creationTimestamp: "${created}" }
spec: ${spec}
`;
const entry = (host: string, port: string, more = "", created?: string): string =>
  document("ServiceEntry", host.replace("*.", "all-").replaceAll(".", "-"), `{ hosts: ["${host}"], resolution: STATIC, ports: [${port}], endpoints: [{ address: 192.0.2.1 }]${more} }`, created);
const TLS = "{ number: 443, name: tls, protocol: TLS }";
const service = (name: string, port: string, clusterIP: string): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { clusterIP: ${clusterIP}, ports: [${port}] }
`;
const rules = (host: string, tls: string, more = ""): string => document("VirtualService", `rules-${host.replace("*.", "all-").replaceAll(".", "-")}`, `{ hosts: ["${host}"], tls: ${tls}${more} }`);
const to = (host: string, weight = ""): string => `{ destination: { host: "${host}" }${weight === "" ? "" : `, weight: ${weight}`} }`;

/** `names -> clusters` of a listener. */
const shown = (listener: OutboundListenerSpec): string[] =>
  listener.tls.map(({ sniHosts, clusters }) => `${sniHosts.join(",")} -> ${clusters.map(({ name, weight }) => `${name}=${weight}`).join(",")}`);
const listeners = (yaml: string): string[] => compileYaml(yaml).snapshot.outbound.listeners.map(({ name }) => name);

describe("TLS ports without an address of their own", () => {
  test("share a listener by server name, what none of them has goes to the catch-all", () => {
    const { snapshot, problems } = compileYaml(entry("b.com", TLS) + entry("*.b.com", "{ number: 443, name: https }") + entry("plain.com", "{ number: 80, name: http }"));
    expect(problems).toEqual([]);
    const listener = listenerOf(snapshot, "0.0.0.0_443");
    expect(listener).toMatchObject({ address: null, protocol: "tcp", routeTable: null, tcp: null });
    expect(shown(listener)).toEqual(["*.b.com -> outbound|443||*.b.com=1", "b.com -> outbound|443||b.com=1"]);
    expect(listenerOf(snapshot, "0.0.0.0_80").tls).toEqual([]);
  });

  test("beside HTTP are tried before it, beside opaque services before those", () => {
    const { snapshot } = compileYaml(REVIEWS + entry("b.com", "{ number: 9080, name: tls }") + entry("c.com", TLS) + entry("tcp.com", "{ number: 443, name: tcp }"));
    expect(listenerOf(snapshot, "0.0.0.0_9080")).toMatchObject({ protocol: "http", routeTable: "9080", tcp: null, tls: [{ sniHosts: ["b.com"] }] });
    expect(tableOf(snapshot, "9080").virtualHosts.flatMap((host) => host.domains)).not.toContain("b.com");
    expect(listenerOf(snapshot, "0.0.0.0_443")).toMatchObject({ protocol: "tcp", tcp: [{ name: "outbound|443||tcp.com" }], tls: [{ sniHosts: ["c.com"] }] });
  });

  test("have the names of their ExternalName aliases, too", () => {
    const alias = `
---
apiVersion: v1
kind: Service
metadata: { name: search, namespace: default }
spec: { type: ExternalName, externalName: b.com }
`;
    expect(shown(listenerOf(compileYaml(entry("b.com", TLS) + alias).snapshot, "0.0.0.0_443"))).toEqual(["b.com,search.default.svc.cluster.local -> outbound|443||b.com=1"]);
  });

  test("a name belongs to the oldest, and the other is told", () => {
    const older = rules("all.com", `[{ match: [{ sniHosts: [all.com] }], route: [${to("b.com")}] }]`);
    const { snapshot, problems } = compileYaml(entry("all.com", TLS, "", "2023-01-01T00:00:00Z") + entry("b.com", TLS) + older
      + document("VirtualService", "more", `{ hosts: [b.com, all.com], tls: [{ match: [{ sniHosts: [b.com, all.com] }], route: [${to("all.com")}] }] }`, "2025-01-01T00:00:00Z"));
    expect(shown(listenerOf(snapshot, "0.0.0.0_443"))).toEqual(["all.com -> outbound|443||b.com=1", "b.com -> outbound|443||all.com=1"]);
    expect(problems).toContainEqual("warning: ServiceEntry default/b-com: spec.ports: b.com port 443 is not reachable by the server name all.com: it is routed for all.com already");
  });
});

describe("tls rules of a VirtualService", () => {
  test("weights, and conditions on port, source and gateways; a service with rules has no other names", () => {
    const tls = `[
  { match: [{ sniHosts: [WWW.b.com], port: 8443 }, { sniHosts: [x.b.com], gateways: [egress] }], route: [${to("nowhere.b.com")}] },
  { match: [{ sniHosts: [www.b.com], sourceLabels: { app: other } }, { sniHosts: [www.b.com], sourceNamespace: far }], route: [${to("nowhere.b.com")}] },
  { match: [{ sniHosts: [WWW.b.com, "*.eu.b.com"], port: 443, sourceLabels: { app: productpage } }], route: [${to("*.b.com", "30")}, ${to("c.com", "70")}, ${to("d.com", "0")}] },
  { match: [{ sniHosts: ["*.eu.b.com", www.b.com] }, { sniHosts: [api.b.com], gateways: [mesh, egress] }], route: [${to("c.com")}] }]`;
    const { snapshot } = compileYaml(entry("*.b.com", TLS) + entry("c.com", TLS) + rules("*.b.com", tls, ", gateways: [mesh, egress]"));
    expect(shown(listenerOf(snapshot, "0.0.0.0_443"))).toEqual([
      "www.b.com,*.eu.b.com -> outbound|443||*.b.com=30,outbound|443||c.com=70",
      "api.b.com -> outbound|443||c.com=1",
      "c.com -> outbound|443||c.com=1",
    ]);
    expect(listenerOf(snapshot, "0.0.0.0_443").tls.map(({ provenance }) => provenance && `${provenance.resource} ${provenance.rule}`))
      .toEqual(["VirtualService default/rules-all-b-com 2", "VirtualService default/rules-all-b-com 3", null]);
  });

  test("at a VIP: by their names alone, else all of it is the service's; tcp rules are for other ports", () => {
    const vip = ", addresses: [10.9.9.9]";
    const whole = (yaml: string) => listenerOf(compileYaml(entry("b.com", TLS, vip) + yaml).snapshot, "10.9.9.9_443");
    expect(whole("")).toMatchObject({ protocol: "tcp", tls: [], tcp: [{ name: "outbound|443||b.com" }] });
    const routed = whole(entry("c.com", TLS) + rules("b.com", `[{ match: [{ sniHosts: [b.com] }], route: [${to("c.com")}] }]`));
    expect([shown(routed), routed.tcp]).toEqual([["b.com -> outbound|443||c.com=1"], null]);
    const tcp = document("VirtualService", "tcp", `{ hosts: [b.com], tcp: [{ route: [${to("c.com")}] }] }`);
    expect(whole(entry("c.com", TLS) + tcp).tcp).toEqual([{ name: "outbound|443||b.com", weight: 1 }]);
  });

  test("a match by destination address is another one than that without (spec/03 3.12)", () => {
    const match = (subnets: string): string => `{ match: [{ sniHosts: [b.com]${subnets} }], route: [${to("b.com")}] }`;
    const blocks = [", destinationSubnets: [10.0.0.0/8, 192.0.2.1]", "", ", destinationSubnets: [192.0.2.1, 10.0.0.0/8]", ", destinationSubnets: [10.1.0.0/16]"];
    const { snapshot, problems } = compileYaml(entry("b.com", TLS) + rules("b.com", `[${blocks.map(match).join(", ")}]`));
    expect(listenerOf(snapshot, "0.0.0.0_443").tls.map(({ sniHosts, destinationSubnets, provenance }) => [sniHosts, destinationSubnets, provenance?.rule]))
      .toEqual([[["b.com"], ["10.0.0.0/8", "192.0.2.1"], 0], [["b.com"], undefined, 1], [["b.com"], ["10.1.0.0/16"], 3]]);
    expect(problems).toEqual([]);
  });

  test.each([
    ["{ sniHosts: [b.com] }", "{ number: 443, name: tcp }", "none of the hosts has a port declared TLS or HTTPS"],
    ["{ sniHosts: [b.com], port: 8443 }", TLS, "port 8443 of the hosts is not declared TLS or HTTPS"],
  ])("%s without effect on %s is a warning", (match, port, message) => {
    const { problems } = compileYaml(entry("b.com", port) + rules("b.com", `[{ match: [${match}], route: [${to("b.com")}] }]`));
    expect(problems).toEqual([expect.stringContaining(`spec.tls[0].match[0]: ${message}: the match has no effect`)]);
  });

  test("has effect where it is for a gateway, or for a port it has", () => {
    const match = "{ sniHosts: [b.com], port: 8443, gateways: [egress] }, { sniHosts: [b.com], port: 443 }";
    expect(compileYaml(entry("b.com", TLS) + rules("b.com", `[{ match: [${match}], route: [${to("b.com")}] }]`, ", gateways: [mesh, egress]")).problems).toEqual([]);
  });
});

describe("a TLS entry of a Sidecar", () => {
  const egress = (more: string): string => document("Sidecar", "s", `{ egress: [{ port: { number: 8443, name: tls, protocol: TLS }, hosts: ["*/*"]${more} }] }`);
  const port = "{ number: 8443, name: tls }";
  const BLACK_HOLE = [{ name: "BlackHoleCluster", weight: 1 }];

  test("a socket of its own: all of it for one service, by server name for several", () => {
    const bound = egress(", captureMode: NONE");
    const one = compileYaml(entry("b.com", port) + bound);
    expect(listenerOf(one.snapshot, "127.0.0.1_8443")).toMatchObject({ protocol: "tcp", tls: [], tcp: [{ name: "outbound|8443||b.com" }] });
    const two = compileYaml(entry("b.com", port) + entry("c.com", port) + bound);
    const listener = listenerOf(two.snapshot, "127.0.0.1_8443");
    expect([shown(listener), listener.tcp, two.problems]).toEqual([["b.com -> outbound|8443||b.com=1", "c.com -> outbound|8443||c.com=1"], BLACK_HOLE, []]);
    const ruled = listenerOf(compileYaml(entry("b.com", port) + rules("b.com", `[{ match: [{ sniHosts: [b.com] }], route: [${to("b.com")}] }]`) + bound).snapshot, "127.0.0.1_8443");
    expect([shown(ruled), ruled.tcp]).toEqual([["b.com -> outbound|8443||b.com=1"], BLACK_HOLE]);
  });

  test("captured: a service is told apart by its address, where it has one, or by its name", () => {
    const named = listenerOf(compileYaml(entry("b.com", port) + egress("")).snapshot, "0.0.0.0_8443");
    expect([shown(named), named.tcp]).toEqual([["b.com -> outbound|8443||b.com=1"], null]);
    const addressed = listenerOf(compileYaml(service("b", port.replace("number", "port"), "10.0.0.2") + egress("")).snapshot, "0.0.0.0_8443");
    expect([addressed.tls, addressed.tcp]).toEqual([[], [{ name: "outbound|8443||b.default.svc.cluster.local", weight: 1 }]]);
  });

  test("other ports are as they were", () => {
    expect(listeners(entry("b.com", TLS) + egress(""))).toEqual(["0.0.0.0_8443"]);
  });
});
