import { describe, expect, it } from "vitest";

import { compile } from "../../../../src/config/compile/compile.ts";
import type { NameTable } from "../../../../src/config/compile/name-table.ts";
import type { WorkloadIdentity } from "../../../../src/config/compile/workload-identity.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { PRODUCTPAGE, resourcesOf, REVIEWS } from "./compile-yaml.ts";

function compiled(yaml: string, workload: Partial<WorkloadIdentity> = {}) {
  const { resources, isWhole } = resourcesOf(yaml);
  expect(isWhole).toBe(true);
  const { names, snapshot, problems } = compile({ resources, workload: { ...PRODUCTPAGE, ...workload }, version: 1, dnsCapture: true });
  if (names === null) throw new Error("no names");
  return { names, snapshot, problems: problems.map(formatProblem) };
}

const namesOf = (yaml: string, workload: Partial<WorkloadIdentity> = {}): NameTable => compiled(yaml, workload).names;
const v4Of = (names: NameTable, name: string): readonly string[] | undefined => names.get(name)?.v4;

const entry = (name: string, spec: string, namespace = "default", created = "2025-01-01T00:00:00Z"): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: { ${spec} }
`;

const MYSQL = (publish: boolean): string => `
apiVersion: v1
kind: Service
metadata: { name: mysql, namespace: data }
spec: { clusterIP: None, publishNotReadyAddresses: ${publish}, ports: [{ name: tcp, port: 3306 }, { name: tcp-admin, port: 3307 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: mysql-1, namespace: data, labels: { kubernetes.io/service-name: mysql } }
addressType: IPv4
ports: [{ name: tcp, port: 3306 }, { name: tcp-admin, port: 3307 }]
endpoints:
- { addresses: [10.1.0.21], hostname: mysql-0 }
- { addresses: [10.1.0.22], hostname: Mysql-1, conditions: { ready: false } }
- { addresses: [10.1.0.23], hostname: mysql-2, conditions: { ready: false, terminating: true } }
- { addresses: [10.1.0.24] }
`;

describe("names of Kubernetes services", () => {
  it("every form that resolves in the service's own namespace", () => {
    const names = namesOf(REVIEWS);
    expect([...names.keys()].toSorted()).toEqual(["reviews", "reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"]);
    for (const name of names.keys()) expect(names.get(name)).toEqual({ v4: ["10.0.0.9"], v6: [] });
  });

  it("no short name in other namespaces", () => {
    expect([...namesOf(REVIEWS, { namespace: "prod" }).keys()].toSorted()).toEqual(["reviews.default", "reviews.default.svc", "reviews.default.svc.cluster.local"]);
  });

  it("both families of a dual-stack service, in canonical form", () => {
    const names = namesOf("apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'FD00:0::1'], ports: [{ name: http, port: 80 }] }");
    expect(names.get("a.default")).toEqual({ v4: ["10.0.0.1"], v6: ["fd00::1"] });
  });

  it("a service without TCP ports has a name, too", () => {
    const names = namesOf("apiVersion: v1\nkind: Service\nmetadata: { name: kube-dns, namespace: kube-system }\nspec: { clusterIP: 10.0.0.10, ports: [{ name: dns, port: 53, protocol: UDP }] }");
    expect(v4Of(names, "kube-dns.kube-system.svc.cluster.local")).toEqual(["10.0.0.10"]);
  });

  it("headless: the ready endpoints, each once, and the pods that have names", () => {
    const names = namesOf(MYSQL(false));
    expect(v4Of(names, "mysql.data.svc.cluster.local")).toEqual(["10.1.0.21", "10.1.0.24"]);
    expect(v4Of(names, "mysql-0.mysql.data.svc.cluster.local")).toEqual(["10.1.0.21"]);
    expect(v4Of(names, "mysql-0.mysql.data")).toEqual(["10.1.0.21"]);
    expect([...names.keys()].filter((name) => name.startsWith("mysql-")).toSorted()).toEqual(["mysql-0.mysql.data", "mysql-0.mysql.data.svc", "mysql-0.mysql.data.svc.cluster.local"]);
    expect(v4Of(namesOf(MYSQL(false), { namespace: "data" }), "mysql-0.mysql")).toEqual(["10.1.0.21"]);
  });

  it("headless with publishNotReadyAddresses: those that are not ready, but none that ends", () => {
    const names = namesOf(MYSQL(true));
    expect(v4Of(names, "mysql.data")).toEqual(["10.1.0.21", "10.1.0.22", "10.1.0.24"]);
    expect(v4Of(names, "mysql-1.mysql.data.svc.cluster.local")).toEqual(["10.1.0.22"]);
    expect(names.has("mysql-2.mysql.data")).toBe(false);
  });

  it("a service without any address is left to the name servers", () => {
    const headless = "apiVersion: v1\nkind: Service\nmetadata: { name: empty }\nspec: { clusterIP: None, ports: [{ name: tcp, port: 1 }] }\n";
    expect(namesOf(headless).size).toBe(0);
    expect(namesOf("apiVersion: v1\nkind: Service\nmetadata: { name: ext }\nspec: { type: ExternalName, externalName: www.example }\n").size).toBe(0);
  });

  it("only what the workload may see", () => {
    const sidecar = "\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: { name: default, namespace: default }\nspec: { egress: [{ hosts: [\"./nothing.default.svc.cluster.local\"] }] }\n";
    expect(namesOf(REVIEWS + sidecar).size).toBe(0);
  });
});

describe("names of ServiceEntries", () => {
  const http = 'ports: [{ number: 80, name: http, protocol: HTTP }]';

  it("each host, wildcards too, without short forms; blocks of addresses are passed over", () => {
    const names = namesOf(entry("a", `hosts: [API.example, "*.wild.example"], addresses: [192.0.2.1, 192.0.3.0/24, "2001:db8::1"], ${http}, resolution: NONE`));
    const both = { v4: ["192.0.2.1"], v6: ["2001:db8::1"] };
    expect(new Map(names)).toEqual(new Map([["api.example", both], ["*.wild.example", both]]));
  });

  it("two entries of a host share their addresses, and connections to both are routed", () => {
    const yaml = entry("a", `hosts: [db.example], addresses: [192.0.2.1], ports: [{ number: 3306, name: tcp, protocol: TCP }], resolution: NONE`)
      + entry("b", `hosts: [db.example], addresses: [192.0.2.2], ports: [{ number: 3307, name: tcp, protocol: TCP }], resolution: NONE`, "default", "2025-01-02T00:00:00Z");
    const { names, snapshot } = compiled(yaml);
    expect(v4Of(names, "db.example")).toEqual(["192.0.2.1", "192.0.2.2"]);
    expect(snapshot.outbound.listeners.map(({ name }) => name)).toEqual(["192.0.2.1_3306", "192.0.2.2_3306", "192.0.2.1_3307", "192.0.2.2_3307"]);
  });

  it("a Kubernetes service wins over an entry with its host", () => {
    const names = namesOf(`${REVIEWS}${entry("a", `hosts: [reviews.default.svc.cluster.local], addresses: [192.0.2.1], ${http}, resolution: STATIC`)}`);
    expect(v4Of(names, "reviews.default.svc.cluster.local")).toEqual(["10.0.0.9"]);
  });

  it("a host written in full wins over another service's short form", () => {
    const names = namesOf(`${REVIEWS}${entry("a", `hosts: [reviews.default], addresses: [192.0.2.1], ${http}, resolution: STATIC`)}`);
    expect(v4Of(names, "reviews.default")).toEqual(["192.0.2.1"]);
    expect(v4Of(names, "reviews.default.svc")).toEqual(["10.0.0.9"]);
  });
});

describe("addresses given to hosts that have none", () => {
  const tcp = "ports: [{ number: 3306, name: tcp, protocol: TCP }]";
  const db = (host: string, more = "resolution: STATIC"): string => entry(host.replaceAll(/[.*]/g, "-").replace(/^-+/, "w-"), `hosts: ["${host}"], ${tcp}, ${more}, endpoints: [{ address: 10.9.9.9 }]`);

  it("one of 240.240.0.0/16, the same every time, with a listener of its own", () => {
    const first = compiled(db("db.example"));
    const address = v4Of(first.names, "db.example")?.[0] ?? "";
    expect(address).toMatch(/^240\.240\.\d+\.\d+$/);
    expect(first.names.get("db.example")).toEqual({ v4: [address], v6: [] });
    expect(first.snapshot.outbound.listeners.map(({ name, tcp: route }) => [name, route?.[0]?.name])).toEqual([[`${address}_3306`, "outbound|3306||db.example"]]);
    // Other hosts, and the order of files, do not move it.
    expect(v4Of(compiled(db("another.example") + db("db.example") + db("third.example")).names, "db.example")).toEqual([address]);
  });

  it("TCP hosts that share a port can all be reached", () => {
    const { names, snapshot, problems } = compiled(db("one.example") + db("two.example"));
    expect(snapshot.outbound.listeners).toHaveLength(2);
    expect(problems).toEqual([]);
    expect(v4Of(names, "one.example")).not.toEqual(v4Of(names, "two.example"));
  });

  it("without DNS capture nobody would learn of them: none, and no names", () => {
    const { resources } = resourcesOf(db("db.example"));
    const { snapshot, names } = compile({ resources, workload: PRODUCTPAGE, version: 1 });
    expect(names).toBeNull();
    expect(snapshot.outbound.listeners.map(({ name }) => name)).toEqual(["0.0.0.0_3306"]);
  });

  it("in the families the workload has", () => {
    const family = (addresses: string[]) => {
      const found = namesOf(db("db.example"), { addresses }).get("db.example");
      return { v4: found?.v4.length, v6: found?.v6.length };
    };
    expect(family(["10.1.0.1", "fd00::1"])).toEqual({ v4: 1, v6: 1 });
    expect(family(["fd00::1"])).toEqual({ v4: 0, v6: 1 });
    expect(family([])).toEqual({ v4: 1, v6: 0 });
    expect(namesOf(db("db.example"), { addresses: ["fd00::1"] }).get("db.example")?.v6[0]).toMatch(/^2001:2::[0-9a-f]{1,4}$/);
  });

  it.each([
    ["a wildcard", entry("wild", `hosts: ["*.example"], ${tcp}, resolution: STATIC, endpoints: [{ address: 10.9.9.9 }]`)],
    ["resolution NONE", entry("pass-through", `hosts: [db.example], ${tcp}, resolution: NONE`)],
    ["a block of addresses", entry("block", `hosts: [db.example], addresses: [192.0.2.0/24], ${tcp}, resolution: STATIC, endpoints: [{ address: 10.9.9.9 }]`)],
  ])("not for %s", (_what, yaml) => {
    expect(namesOf(yaml).size).toBe(0);
  });

  it("two hosts never share one, and none is taken that somebody wrote down", () => {
    const hosts = Array.from({ length: 700 }, (_, at) => `h${at}.example`);
    const given = compiled(db("db.example")).names.get("db.example")?.v4[0] ?? "";
    const squatter = entry("squatter", `hosts: [squatter.example], addresses: [${given}], ${tcp}, resolution: STATIC, endpoints: [{ address: 10.9.9.9 }]`);
    const names = namesOf(squatter + hosts.map((host) => db(host)).join("") + db("db.example"));
    const all = [...names.values()].flatMap(({ v4 }) => v4);
    expect(all).toHaveLength(702);
    expect(new Set(all).size).toBe(702);
    expect(v4Of(names, "squatter.example")).toEqual([given]);
  });
});
