import { describe, expect, it } from "vitest";
import { lintYaml } from "./lint-yaml.ts";

const object = (kind: string, name: string, spec: string, apiVersion = "networking.istio.io/v1"): string => `---\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
const service = (clusterIP: string): string => object("Service", "db", `{ clusterIP: ${clusterIP}, ports: [{ name: tcp-db, port: 5432 }, { name: tls-db, port: 5433 }] }`, "v1");
const entry = (addresses: string): string => object("ServiceEntry", "db", `{ hosts: [db.test], addresses: ${addresses}, resolution: STATIC, ports: [{ number: 5432, name: tcp }, { number: 5433, name: tls }], endpoints: [{ address: 192.0.2.1 }] }`);
const rules = (host: string, subnets: string, more = ""): string => object("VirtualService", "db", `{ hosts: [${host}], tcp: [{ match: [{ destinationSubnets: ${subnets} }], route: [{ destination: { host: ${host}, port: { number: 5432 } } }] }]${more} }`);
const found = (yaml: string): string[] => lintYaml(yaml, "subnets-never-dialled");

describe("subnets-never-dialled", () => {
  it.each([
    ["a service's own address", service("10.96.0.7") + rules("db", "[10.1.0.0/16]"), "10.96.0.7"],
    ["an entry's addresses", entry("[10.9.9.9, 2001:db8::1]") + rules("db.test", "[10.9.9.0/29, 2001:db9::/32]"), "10.9.9.9, 2001:db8::1"],
  ])("%s is not in them", (_what, yaml, dialled) => {
    expect(found(yaml)).toEqual([
      `subnets-never-dialled: spec.tcp[0].match[0].destinationSubnets: never matches: connections for these hosts are those to ${dialled}; endpoints behind them are chosen by subsets`,
    ]);
  });

  it("is told of tls rules, too", () => {
    const tls = ", tls: [{ match: [{ sniHosts: [db.test], destinationSubnets: [10.2.0.0/16] }], route: [{ destination: { host: db.test, port: { number: 5433 } } }] }]";
    expect(found(entry("[10.1.0.1]") + rules("db.test", "[10.1.0.0/16]", tls))).toEqual([expect.stringContaining("spec.tls[0].match[0].destinationSubnets")]);
  });

  it.each([
    ["the address is in one of them", service("10.96.0.7") + rules("db", "[10.1.0.0/16, 10.96.0.0/12]")],
    ["there is no address", entry("[]") + rules("db.test", "[10.1.0.0/16]")],
    ["there are blocks of addresses", entry("[10.9.0.0/16]") + rules("db.test", "[10.1.0.0/16]")],
    ["nobody knows the host", rules("db.test", "[10.1.0.0/16]")],
    ["the rules are for a gateway as well", service("10.96.0.7") + rules("db", "[10.1.0.0/16]", ", gateways: [mesh, edge]")],
    ["a Sidecar takes the port", service("10.96.0.7") + rules("db", "[10.1.0.0/16]") + object("Sidecar", "s", "{ egress: [{ port: { number: 5432, name: tcp, protocol: TCP }, hosts: ['*/*'] }] }")],
  ])("is not told where %s", (_what, yaml) => {
    expect(found(yaml)).toEqual([]);
  });
});
