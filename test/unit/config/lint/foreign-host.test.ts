import { describe, expect, it } from "vitest";

import { lintYaml } from "./lint-yaml.ts";

const MINE = "claims-foreign-host";

const service = (namespace: string, annotations = ""): string => `
---
apiVersion: v1
kind: Service
metadata: { name: payments, namespace: ${namespace}, annotations: {${annotations}} }
spec: { clusterIP: 10.0.0.7, ports: [{ name: http, port: 80 }] }
`;

const rule = (namespace: string, hosts: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: v, namespace: ${namespace} }
spec: { hosts: [${hosts}], ${more} http: [{ route: [{ destination: { host: evil.example.com } }] }] }
`;

const entry = (host: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: e, namespace: shop }
spec: { hosts: ["${host}"], ports: [{ number: 80, name: http }], resolution: STATIC, endpoints: [{ address: 192.0.2.1 }], ${more} }
`;

describe("ISTIO-2026-002: claims-foreign-host", () => {
  it("names the rule's namespace, and whose host it is", () => {
    expect(lintYaml(service("bank") + rule("shop", "payments.bank.svc.cluster.local"), MINE)).toEqual([
      "claims-foreign-host: spec.hosts[0]: decides for callers outside of namespace shop, too, where calls to payments.bank.svc.cluster.local go, a host of namespace bank (test.yaml:3); "
        + 'write exportTo: ["."] to keep it to the callers of shop, or leave the rule to bank',
    ]);
  });

  it.each([
    ["a wildcard that takes it", service("bank") + rule("shop", '"*.bank.svc.cluster.local"')],
    ["a wildcard for the whole cluster", service("bank") + rule("shop", '"*.local"')],
    ["a rule for one other namespace, that of the service", service("bank") + rule("shop", "payments.bank.svc.cluster.local", "exportTo: [bank],")],
    ["a host that a ServiceEntry of another namespace brings in", `${entry("api.example.com")}${rule("bank", "api.example.com")}`],
    ["a rule that names gateways beside the mesh", service("bank") + rule("shop", "payments.bank.svc.cluster.local", "gateways: [edge, mesh],")],
  ])("said of %s", (_what, yaml) => {
    expect(lintYaml(yaml, MINE)).toHaveLength(1);
  });

  it.each([
    ["its own host", service("shop") + rule("shop", "payments")],
    ["a rule that stays at home, for the callers of its namespace", service("bank") + rule("shop", "payments.bank.svc.cluster.local", 'exportTo: ["."],')],
    ["a rule of the mesh's own namespace", service("bank") + rule("istio-system", "payments.bank.svc.cluster.local")],
    ["a service that nobody else sees, nor the rule its owner", service("bank", '"networking.istio.io/exportTo": "."') + rule("shop", "payments.bank.svc.cluster.local", "exportTo: [\".\", ads],")],
    ["a rule for gateways alone", service("bank") + rule("shop", "payments.bank.svc.cluster.local", "gateways: [edge],")],
    ["a host that is nobody's", rule("shop", "payments.bank.svc.cluster.local")],
    ["a wildcard over its own hosts", service("shop") + service("bank") + rule("shop", '"*.shop.svc.cluster.local"')],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml, MINE)).toEqual([]);
  });

  it.each([
    ["payments.bank.svc.cluster.local", "payments.bank.svc.cluster.local, a name of namespace bank"],
    ["*.bank.svc.cluster.local", "*.bank.svc.cluster.local, a name of namespace bank"],
    ["*.svc.cluster.local", "names of every namespace (*.svc.cluster.local)"],
    ["*.local", "names of every namespace (*.local)"],
  ])("a ServiceEntry for %s", (host, whose) => {
    expect(lintYaml(entry(host), MINE)).toEqual([expect.stringContaining(`answers for callers outside of namespace shop, too, for ${whose}; `)]);
    expect(lintYaml(entry(host, 'exportTo: ["."]'), MINE)).toEqual([]);
  });

  it.each(["api.example.com", "*.example.com", "e.shop.svc.cluster.local", "*.shop.svc.cluster.local", "svc.cluster.local"])("not of a ServiceEntry for %s", (host) => {
    expect(lintYaml(entry(host), MINE)).toEqual([]);
  });
});
