import { describe, expect, it } from "vitest";
import { TO_REVIEWS, lintYaml, serviceWith, virtualService } from "./lint-yaml.ts";

const port = (text: string): string[] => lintYaml(serviceWith("db", `{ ${text} }`));

describe("undeclared-protocol", () => {
  it.each([
    ["port: 8000", 'the protocol of port 8000 is guessed from the first bytes of each connection, since nothing declares it; write appProtocol: http, or name it "http" (or tcp, grpc, ...)'],
    ["name: web, port: 8000", 'the protocol of port 8000 is guessed from the first bytes of each connection, since its name "web" begins with none that is known; write appProtocol: http, or name it "http-web" (or tcp, grpc, ...)'],
    ["name: http, port: 8000, appProtocol: example.com/x", 'the protocol of port 8000 is guessed from the first bytes of each connection, since appProtocol "example.com/x" is none that is known; write appProtocol: http, or name it "http-http" (or tcp, grpc, ...)'],
  ])("%s", (text, expected) => {
    expect(port(text)).toEqual([`undeclared-protocol: spec.ports[0]: ${expected}`]);
  });

  it.each(["name: http, port: 80", "name: http-web, port: 80", "name: grpc, port: 80", "name: x, port: 80, appProtocol: http", "name: x, port: 53, protocol: UDP", "name: dns, port: 53", "name: x, port: 27017"])("not: %s", (text) => {
    expect(port(text)).toEqual([]);
  });

  it("of a ServiceEntry asks for its protocol", () => {
    expect(lintYaml(entry("ports: [{ number: 8000, name: web }]"))).toEqual([
      'undeclared-protocol: spec.ports[0]: the protocol of port 8000 is guessed from the first bytes of each connection, since its name "web" begins with none that is known; write protocol: http, or name it "http-web" (or tcp, grpc, ...)',
    ]);
    expect(lintYaml(entry("ports: [{ number: 8000, name: web, protocol: TLS }]"))).toEqual([]);
  });
});

describe("server-first-port", () => {
  it.each([
    ["name: db, port: 3306", 'port 3306 counts as TCP because of its number alone, and Istio may guess at it: there the server speaks first, so that the guess waits for its timeout; write appProtocol: mysql, or name it "mysql-db"'],
    ["name: mail, port: 8025, targetPort: 25", 'the protocol of port 8025 is guessed from what its client says, but on its target port 25 the server speaks first; write appProtocol: tcp, or name it "tcp-mail"'],
    ["name: http-db, port: 3306", 'port 3306 is declared HTTP, but on that port the server speaks first: clients would wait for a greeting that is never passed on; write appProtocol: tcp, or name it "tcp-http-db"'],
  ])("%s", (text, expected) => {
    expect(port(text)).toEqual([`server-first-port: spec.ports[0]: ${expected}`]);
  });

  it.each(["name: tcp-db, port: 3306", "name: mysql, port: 3306", "name: db, port: 3306, appProtocol: tcp", "name: tcp-mail, port: 8025, targetPort: 25", "name: http, port: 80, targetPort: 25"])("not: %s", (text) => {
    expect(port(text)).toEqual([]);
  });
});

function entry(spec: string, namespace = "default", host = "db.example.com", more = ""): string {
  return `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: e, namespace: ${namespace} }
spec: { hosts: [${host}], resolution: DNS, ${spec} ${more} }
`;
}

describe("host-claimed-twice", () => {
  const ports = "ports: [{ number: 443, name: tls }]";

  it("is told of entries of two namespaces that both are for everybody", () => {
    expect(lintYaml(entry(ports) + entry(ports, "other"))).toEqual([
      'host-claimed-twice: spec.hosts[0]: db.example.com is a host of ServiceEntry default/e at test.yaml:6 too: outside other that one is used; remove one of them, or keep each to its namespace with exportTo: ["."]',
    ]);
  });

  it("not: of other hosts, and of what stays at home", () => {
    expect(lintYaml(entry(ports) + entry(ports, "other", "db2.example.com"))).toEqual([]);
    expect(lintYaml(entry(ports) + entry(ports, "other", "db.example.com", ", exportTo: ['.']"))).toEqual([]);
  });
});

describe("hidden-by-sidecar", () => {
  const sidecar = (hosts: string): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: s, namespace: default }
spec: { egress: [{ hosts: [${hosts}] }] }
`;
  const rule = virtualService(`[{ ${TO_REVIEWS} }]`, "exportTo: ['.']").replace("hosts: [reviews]", "hosts: [api.example.com]");
  const external = entry("ports: [{ number: 80, name: http }]", "egress", "api.example.com");

  it("is told of a rule for a host of another namespace", () => {
    expect(lintYaml(sidecar("'./*'").replace("./*", "istio-system/*") + rule + external)).toEqual([
      'hidden-by-sidecar: spec.hosts[0]: has no effect on the workloads of default: none of the egress hosts of Sidecar s at test.yaml:6 covers it; add "default/api.example.com" there to import this rule, and the namespace of the service to import that',
    ]);
  });

  it.each(["'./*'", "'*/*'", "'*/api.example.com'", "'./*.example.com'"])("not: with %s", (hosts) => {
    expect(lintYaml(sidecar(hosts) + rule + external)).toEqual([]);
  });

  it("not: a rule for a service of its own namespace, which others may call", () => {
    expect(lintYaml(sidecar("'istio-system/*'") + virtualService(`[{ ${TO_REVIEWS} }]`) + serviceWith("reviews", "{ name: http, port: 80 }"))).toEqual([]);
  });
});

describe("exclude-without-include", () => {
  const pod = (annotations: string): string => `
apiVersion: v1
kind: Pod
metadata: { name: p, namespace: default, annotations: { ${annotations} } }
`;

  it("is told of a list that excludes from a list", () => {
    expect(lintYaml(pod("traffic.sidecar.istio.io/includeInboundPorts: '80,81', traffic.sidecar.istio.io/excludeInboundPorts: '81'"))).toEqual([
      'exclude-without-include: metadata.annotations["traffic.sidecar.istio.io/excludeInboundPorts"]: has no effect beside includeInboundPorts "80,81", which is already the whole list; leave these ports out there, or write includeInboundPorts: "*"',
    ]);
  });

  it.each([
    "traffic.sidecar.istio.io/excludeInboundPorts: '81'",
    "traffic.sidecar.istio.io/includeInboundPorts: '*', traffic.sidecar.istio.io/excludeInboundPorts: '81'",
    "traffic.sidecar.istio.io/includeInboundPorts: '80'",
  ])("not: %s", (annotations) => {
    expect(lintYaml(pod(annotations))).toEqual([]);
  });
});

describe("broken-rate-limit", () => {
  it.each([
    ["v1", "Service", "{ clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }] }"],
    ["networking.istio.io/v1", "ServiceEntry", "{ hosts: [a.test], ports: [{ number: 80, name: http, protocol: HTTP }] }"],
  ])("is told of %s %s, whoever's it is", (apiVersion, kind, spec) => {
    const yaml = `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: a, annotations: { outrider.io/rate-limit: "[{ requests: 1 }]" } }\nspec: ${spec}\n`;
    expect(lintYaml(yaml, "broken-rate-limit")).toEqual(['error: broken-rate-limit: metadata.annotations["outrider.io/rate-limit"]: [0].per: is required: requests are not limited']);
  });
});
