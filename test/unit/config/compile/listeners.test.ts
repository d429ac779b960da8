import { describe, expect, test } from "vitest";
import type { Snapshot } from "../../../../src/config/snapshot.ts";
import { REVIEWS, compileYaml, listenerOf, routesOf, tableOf, targetsOf } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";

const service = (name: string, port: string, clusterIP: string, created = "2024-01-01T00:00:00Z"): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default, creationTimestamp: "${created}" }
spec: { clusterIP: ${clusterIP}, ports: [${port}] }
`;
const entry = (name: string, spec: string): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name}, namespace: default }
spec: ${spec}
`;
const sidecar = (spec: string, metadata = "name: s, namespace: default"): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { ${metadata} }
spec: ${spec}
`;
const outbound = (yaml: string, workload = {}) => compileYaml(yaml, workload).snapshot.outbound;
const names = (yaml: string, workload = {}): string[] => outbound(yaml, workload).listeners.map((listener) => listener.name);

describe("captured", () => {
  test("HTTP services share a wildcard listener, TCP ones have one per VIP, undeclared ones are sniffed at theirs", () => {
    const { snapshot } = compileYaml(REVIEWS
      + service("db", "{ name: tcp-db, port: 3306 }", "10.0.0.2")
      + service("auto", "{ name: whatever, port: 9080 }", "10.0.0.3"));
    expect(snapshot.outbound.listeners).toEqual([
      { name: "10.0.0.2_3306", address: "10.0.0.2", port: 3306, bind: null, protocol: "tcp", routeTable: null, tls: [], tcp: [{ name: "outbound|3306||db.default.svc.cluster.local", weight: 1 }] },
      { name: "0.0.0.0_9080", address: null, port: 9080, bind: null, protocol: "http", routeTable: "9080", tls: [], tcp: null },
      { name: "10.0.0.3_9080", address: "10.0.0.3", port: 9080, bind: null, protocol: "auto", routeTable: "auto.default.svc.cluster.local:9080", tls: [], tcp: [{ name: "outbound|9080||auto.default.svc.cluster.local", weight: 1 }] },
    ]);
    expect(tableOf(snapshot, "auto.default.svc.cluster.local:9080").virtualHosts).toMatchObject([{ domains: ["*"] }]);
    expect(tableOf(snapshot, "9080").virtualHosts.map((host) => host.name)).toEqual([`${HOST}:9080`, "auto.default.svc.cluster.local:9080", "allow_any"]);
  });

  test.each([
    ["{ port: 3306, name: db }", "tcp"], ["{ port: 80, name: grpc-web-x }", "http"], ["{ port: 80, name: http, appProtocol: foo }", "auto"],
    ["{ port: 80, appProtocol: kubernetes.io/h2c }", "http"], ["{ port: 443, name: https }", "tcp"], ["{ port: 80, name: redis }", "tcp"],
  ])("port %s is %s", (port, protocol) => {
    expect(outbound(service("x", port, "10.0.0.2")).listeners[0]?.protocol).toBe(protocol);
  });

  test("UDP has no listener", () => {
    expect(names(service("dns", "{ port: 53, protocol: UDP }", "10.0.0.2"))).toEqual([]);
  });

  test("a headless TCP service has a listener for each pod but our own, a headless HTTP one the shared", () => {
    const headless = REVIEWS.replace("clusterIP: 10.0.0.9", "clusterIP: None");
    expect(names(headless)).toEqual(["0.0.0.0_9080"]);
    expect(tableOf(compileYaml(headless).snapshot, "9080").virtualHosts[0]?.domains).toContain("*.reviews.default");
    const tcp = headless.replaceAll("name: http, port", "name: tcp, port");
    expect(names(tcp)).toEqual(["10.1.0.11_9080", "10.1.0.12_9080"]);
    expect(names(tcp, { addresses: ["10.1.0.12"] })).toEqual(["10.1.0.11_9080"]);
  });

  test("TCP without address takes the whole port; the older of two wins; with HTTP beside it the port is sniffed", () => {
    const tcp = (name: string): string => entry(name, `{ hosts: [${name}.com], resolution: DNS, ports: [{ number: 9080, name: tcp }] }`);
    const { snapshot, problems } = compileYaml(tcp("b") + tcp("a") + REVIEWS.replace(/^/, "\n---"));
    expect(listenerOf(snapshot, "0.0.0.0_9080")).toMatchObject({ protocol: "auto", routeTable: "9080", tls: [], tcp: [{ name: "outbound|9080||a.com", weight: 1 }] });
    expect(problems).toEqual([expect.stringContaining("ServiceEntry default/b: spec.ports: b.com port 9080 is not reachable")]);
  });

  test("two services at one VIP: the older has it", () => {
    const young = service("a", "{ name: tcp, port: 1 }", "10.0.0.2", "2025-01-01T00:00:00Z");
    const { snapshot, problems } = compileYaml(young + service("z", "{ name: tcp, port: 1 }", "10.0.0.2"));
    expect(listenerOf(snapshot, "10.0.0.2_1").tcp).toEqual([{ name: "outbound|1||z.default.svc.cluster.local", weight: 1 }]);
    expect(problems).toEqual([expect.stringContaining("Service default/a: spec.ports: a.default.svc.cluster.local port 1 is not reachable")]);
  });

  test("TCP routes of a VirtualService: weights, port and source", () => {
    const tcp = REVIEWS.replaceAll("name: http, port", "name: tcp, port");
    const { snapshot } = compileYaml(`${tcp}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec:
  hosts: [reviews]
  tcp:
  - { match: [{ port: 1 }], route: [{ destination: { host: nowhere } }] }
  - { match: [{ sourceLabels: { app: other } }], route: [{ destination: { host: nowhere } }] }
  - { match: [{ port: 9080, sourceNamespace: default }], route: [{ destination: { host: reviews, subset: v1 }, weight: 30 }, { destination: { host: reviews, subset: v2 }, weight: 70 }] }
`);
    const listener = listenerOf(snapshot, "10.0.0.9_9080");
    expect(listener.tcp).toEqual([{ name: `outbound|9080|v1|${HOST}`, weight: 30 }, { name: `outbound|9080|v2|${HOST}`, weight: 70 }]);
    expect(listener.tcpProvenance).toMatchObject({ resource: "VirtualService default/reviews", rule: 2 });
    expect(listener).not.toHaveProperty("tcpBySubnet");
  });

  describe("tcp rules with destination subnets (spec/02 2.5, spec/03 3.12)", () => {
    const compiled = (...rules: string[]) => {
      const spec = rules.map((rule) => `  - { ${rule}, route: [{ destination: { host: reviews } }] }`).join("\n");
      const virtualService = `\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: reviews, namespace: default }\nspec:\n  hosts: [reviews]\n  tcp:\n${spec}\n`;
      const { tcp: others, tcpProvenance, tcpBySubnet } = listenerOf(compileYaml(REVIEWS.replaceAll("name: http, port", "name: tcp, port") + virtualService).snapshot, "10.0.0.9_9080");
      return [tcpBySubnet?.map(({ destinationSubnets, provenance }) => [provenance?.rule, ...destinationSubnets]), others?.[0]?.name, tcpProvenance?.rule];
    };
    const OWN = `outbound|9080||${HOST}`;

    test("take their addresses, and the service keeps the others", () => {
      expect(compiled("match: [{ destinationSubnets: [10.0.0.0/8, 192.0.2.1] }]")).toEqual([[[0, "10.0.0.0/8", "192.0.2.1"]], OWN, undefined]);
    });

    test("the first rule for all addresses ends the list", () => {
      expect(compiled("match: [{ destinationSubnets: [10.0.0.0/8] }]", "match: [{ sourceNamespace: default }]", "match: [{ destinationSubnets: [192.0.2.1] }]"))
        .toEqual([[[0, "10.0.0.0/8"]], OWN, 1]);
    });

    test("one block without makes its rule one for all addresses; blocks that do not hold count for nothing", () => {
      expect(compiled("match: [{ destinationSubnets: [10.0.0.0/8] }, { port: 9080 }]")).toEqual([undefined, OWN, 0]);
      expect(compiled("match: [{ destinationSubnets: [10.0.0.0/8] }, { port: 1 }, { destinationSubnets: [192.0.2.1], sourceLabels: { app: other } }]")).toEqual([[[0, "10.0.0.0/8"]], OWN, undefined]);
    });
  });
});

describe("ServiceEntries with blocks of addresses (spec/02 2.1)", () => {
  const ranged = (host: string, addresses: string, port: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replaceAll(".", "-")}, namespace: default }
spec: { hosts: [${host}], addresses: ${addresses}, resolution: STATIC, ports: [${port}], endpoints: [{ address: 192.0.2.1 }] }
${more}`;
  const shown = (snapshot: Snapshot, name: string) => {
    const { protocol, tcp, tcpBySubnet = [], tls } = listenerOf(snapshot, name);
    return [protocol, tcp?.[0]?.name ?? null, ...tcpBySubnet.map(({ destinationSubnets, clusters, isDeclared }) => `${destinationSubnets.join(",")} -> ${clusters[0]?.name}${isDeclared === true ? "" : " unless it is HTTP or TLS"}`), ...tls.map(({ sniHosts, destinationSubnets }) => `${sniHosts.join(",")} in ${destinationSubnets?.join(",")}`)];
  };
  const TCP = "{ number: 5432, name: tcp }";

  test("share a port, each with its blocks; single addresses have listeners of their own", () => {
    const { snapshot, problems } = compileYaml(ranged("a.test", "[10.1.0.0/16, 10.9.9.9]", TCP) + ranged("b.test", "[10.2.0.0/16, 10.3.0.0/16]", TCP));
    expect(shown(snapshot, "0.0.0.0_5432")).toEqual(["tcp", null, "10.1.0.0/16 -> outbound|5432||a.test", "10.2.0.0/16,10.3.0.0/16 -> outbound|5432||b.test"]);
    expect(shown(snapshot, "10.9.9.9_5432")).toEqual(["tcp", "outbound|5432||a.test"]);
    expect(problems).toEqual([]);
  });

  test("stand beside HTTP, and beside a service without addresses, which gets the rest", () => {
    const { snapshot } = compileYaml(REVIEWS + ranged("a.test", "[10.1.0.0/16]", "{ number: 9080, name: tcp }"));
    expect(shown(snapshot, "0.0.0.0_9080")).toEqual(["auto", null, "10.1.0.0/16 -> outbound|9080||a.test"]);
    const rest = compileYaml(ranged("a.test", "[10.1.0.0/16]", TCP) + ranged("rest.test", "[]", TCP));
    expect(shown(rest.snapshot, "0.0.0.0_5432")).toEqual(["tcp", "outbound|5432||rest.test", "10.1.0.0/16 -> outbound|5432||a.test"]);
  });

  test("a block is the oldest's, and the other is told", () => {
    const { snapshot, problems } = compileYaml(ranged("a.test", "[10.1.0.0/16]", TCP) + ranged("b.test", "[10.1.0.0/16]", TCP));
    expect(shown(snapshot, "0.0.0.0_5432")).toEqual(["tcp", null, "10.1.0.0/16 -> outbound|5432||a.test"]);
    expect(problems).toEqual([expect.stringContaining("ServiceEntry default/b-test: spec.ports: b.test port 5432 is not reachable: connections to 10.1.0.0/16 go to a.test, which is older")]);
  });

  test("TLS is found by name within them; a rule's own subnets come in their place", () => {
    const TLS = "{ number: 443, name: tls }";
    expect(shown(compileYaml(ranged("a.test", "[10.1.0.0/16]", TLS)).snapshot, "0.0.0.0_443")).toEqual(["tcp", null, "a.test in 10.1.0.0/16"]);
    const rules = (kind: string, match: string): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: rules, namespace: default }
spec: { hosts: [a.test], ${kind}: [{ match: [{ ${match} destinationSubnets: [198.51.100.0/24] }], route: [{ destination: { host: b.test } }] }] }
`;
    const both = ranged("b.test", "[10.2.0.0/16]", "{ number: 7, name: tcp }");
    expect(shown(compileYaml(ranged("a.test", "[10.1.0.0/16]", TLS, rules("tls", "sniHosts: [a.test],")) + both).snapshot, "0.0.0.0_443")).toEqual(["tcp", null, "a.test in 198.51.100.0/24"]);
    expect(shown(compileYaml(ranged("a.test", "[10.1.0.0/16]", TCP, rules("tcp", "")) + both).snapshot, "0.0.0.0_5432"))
      .toEqual(["tcp", null, "198.51.100.0/24 -> outbound|7||b.test", "10.1.0.0/16 -> outbound|5432||a.test"]);
  });
});

describe("Sidecar", () => {
  const world = REVIEWS + service("db", "{ name: tcp-db, port: 3306 }", "10.0.0.2") + REVIEWS.replace(/^/, "\n---").replaceAll("namespace: default", "namespace: far").replaceAll("10.0.0.9", "10.0.0.8");
  const hosts = (list: string, workload = {}): string[] => {
    const { snapshot } = compileYaml(world + sidecar(`{ egress: [{ hosts: ${list} }] }`), workload);
    return snapshot.clusters.map((cluster) => cluster.name).filter((name) => name.startsWith("outbound|")).map((name) => name.split("|")[3] as string);
  };
  const [db, near, far] = ["db.default.svc.cluster.local", HOST, "reviews.far.svc.cluster.local"];

  test.each([
    ['["./*"]', [db, near]], ['["*/*"]', [db, near, far]], ['["far/*"]', [far]], ['["~/*"]', []],
    [`["*/${HOST}"]`, [near]], ['["*/*.far.svc.cluster.local"]', [far]], ['["*/*", "~far/*"]', [db, near]],
  ])("imports %s", (list, expected) => {
    expect(hosts(list).toSorted()).toEqual(expected.toSorted());
  });

  test("workload before namespace before root, one only", () => {
    const mode = (yaml: string): string => outbound(world + yaml).catchAll;
    const of = (metadata: string, spec: string): string => sidecar(`{ ${spec} }`, metadata);
    const root = of("name: r, namespace: istio-system", "outboundTrafficPolicy: { mode: REGISTRY_ONLY }");
    expect(mode(root)).toBe("REGISTRY_ONLY");
    expect(mode(root + of("name: plain, namespace: default", "outboundTrafficPolicy: { mode: ALLOW_ANY }"))).toBe("ALLOW_ANY");
    const workload = (app: string): string => of("name: w, namespace: default", `workloadSelector: { labels: { app: ${app} } }, outboundTrafficPolicy: { mode: REGISTRY_ONLY }`);
    expect(mode(of("name: plain, namespace: default", "outboundTrafficPolicy: { mode: ALLOW_ANY }") + workload("productpage"))).toBe("REGISTRY_ONLY");
    expect(mode(root + workload("other"))).toBe("REGISTRY_ONLY");
  });

  test("services that an imported VirtualService sends to have clusters, but no listener", () => {
    const { snapshot } = compileYaml(`${world}${sidecar(`{ egress: [{ hosts: ["*/${HOST}"] }] }`)}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews], http: [{ route: [{ destination: { host: reviews.far.svc.cluster.local } }] }] }
`);
    expect(snapshot.clusters.map((cluster) => cluster.name)).toContain(`outbound|9080||${far}`);
    expect(targetsOf(routesOf(snapshot, "9080", `${HOST}:9080`)[0])).toEqual([`outbound|9080||${far}=1`]);
    expect(tableOf(snapshot, "9080").virtualHosts.map((host) => host.name)).toEqual([`${HOST}:9080`, "allow_any"]);
  });

  test("captureMode NONE: a socket of its own, limited to its hosts, and nothing passes through it", () => {
    const { snapshot, problems } = compileYaml(world + sidecar(`
  egress:
  - { port: { number: 9080, name: http, protocol: HTTP }, bind: 127.0.0.1, captureMode: NONE, hosts: ["./reviews.default.svc.cluster.local"] }
  - { port: { number: 13306, name: tcp, protocol: TCP }, captureMode: NONE, hosts: ["./db.default.svc.cluster.local"] }
`));
    expect(problems).toEqual([]);
    expect(snapshot.outbound.listeners).toEqual([
      { name: "127.0.0.1_9080", address: "127.0.0.1", port: 9080, bind: { address: "127.0.0.1", port: 9080 }, protocol: "http", routeTable: "127.0.0.1:9080", tls: [], tcp: [{ name: "BlackHoleCluster", weight: 1 }] },
      { name: "127.0.0.1_13306", address: "127.0.0.1", port: 13306, bind: { address: "127.0.0.1", port: 13306 }, protocol: "tcp", routeTable: null, tls: [], tcp: [{ name: "outbound|3306||db.default.svc.cluster.local", weight: 1 }] },
    ]);
    expect(tableOf(snapshot, "127.0.0.1:9080").virtualHosts.map((host) => host.name)).toEqual([`${HOST}:9080`, "block_all"]);
  });

  test("an entry with a port claims it for its hosts", () => {
    const { snapshot } = compileYaml(world + sidecar(`
  egress:
  - { port: { number: 9080, protocol: HTTP, name: http }, hosts: ["far/*"] }
  - { hosts: ["*/*"] }
`));
    expect(snapshot.outbound.listeners.map((listener) => listener.name)).toEqual(["10.0.0.2_3306", "0.0.0.0_9080"]);
    expect(tableOf(snapshot, "9080").virtualHosts.map((host) => host.name)).toEqual([`${far}:9080`, "allow_any"]);
  });
});
