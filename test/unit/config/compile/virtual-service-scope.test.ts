import { describe, expect, test } from "vitest";
import { compileYaml, routesOf, tableOf } from "./compile-yaml.ts";

/* spec/03 3.1. Which VirtualService is in force is told by the name of its rule. */

const service = (name: string, namespace: string, ip: string, port = 9080): string => `
---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { clusterIP: ${ip}, ports: [{ name: http, port: ${port} }] }
`;
const WORLD = service("reviews", "default", "10.0.0.1") + service("reviews", "other", "10.0.0.2") + service("web", "default", "10.0.0.3", 80);

interface Rule {
  readonly name: string;
  readonly hosts: string;
  readonly namespace?: string;
  readonly year?: number;
  readonly more?: string;
  readonly rule?: string;
}
const rule = ({ name, hosts, namespace = "default", year = 2024, more = "", rule: text = "directResponse: { status: 201 }" }: Rule): string => `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${year}-01-01T00:00:00Z" }
spec: { hosts: [${hosts}], http: [{ name: ${name}, ${text} }]${more} }
`;
const NEAR = "reviews.default.svc.cluster.local";
const FAR = "reviews.other.svc.cluster.local";
const inForce = (rules: readonly Rule[], host = NEAR, namespace = "default"): string | undefined =>
  routesOf(compileYaml(WORLD + rules.map(rule).join(""), { namespace }).snapshot, "9080", `${host}:9080`)[0]?.name;

describe("spec/03 3.1 hosts", () => {
  test.each<[what: string, rules: Rule[], near: string, far: string]>([
    ["a short name is of the rule's namespace", [{ name: "v", hosts: "reviews", namespace: "other" }], "default", "v"],
    ["never of the client's", [{ name: "v", hosts: "reviews", namespace: "third" }], "default", "default"],
    ["a name with a dot is taken as it is", [{ name: "v", hosts: "reviews.default" }], "default", "default"],
    ["a full name from any namespace", [{ name: "v", hosts: NEAR, namespace: "other" }], "v", "default"],
    ["case does not count", [{ name: "v", hosts: "Reviews.Default.svc.cluster.local" }], "v", "default"],
    ["a final dot does not count", [{ name: "v", hosts: `${NEAR}.` }], "v", "default"],
    ["a wildcard", [{ name: "v", hosts: "'*.svc.cluster.local'" }], "v", "v"],
    ["an exact host beats a wildcard, also an older one", [{ name: "wild", hosts: "'*.svc.cluster.local'", year: 2020 }, { name: "v", hosts: "reviews" }], "v", "wild"],
    ["the most specific wildcard alone", [{ name: "wide", hosts: "'*.svc.cluster.local'", year: 2020 }, { name: "narrow", hosts: "'*.default.svc.cluster.local'" }], "narrow", "wide"],
    ["several hosts", [{ name: "v", hosts: `reviews, ${FAR}` }], "v", "v"],
  ])("%s", (_what, rules, near, far) => {
    expect([inForce(rules, NEAR), inForce(rules, FAR)]).toEqual([near, far]);
  });

  test("a destination's short name is of the rule's namespace too", () => {
    const yaml = WORLD + rule({ name: "v", hosts: NEAR, namespace: "other", rule: "route: [{ destination: { host: reviews } }]" });
    const [route] = routesOf(compileYaml(yaml).snapshot, "9080", `${NEAR}:9080`);
    expect(route?.action).toMatchObject({ clusters: [{ name: `outbound|9080||${FAR}` }] });
  });
});

describe("spec/03 3.1 gateways", () => {
  test.each([
    ["", true], [", gateways: [mesh]", true], [", gateways: [mesh, public]", true], [", gateways: [ns/public, mesh]", true],
    [", gateways: [public]", false], [", gateways: [ns/public]", false], [", gateways: [ns/mesh]", false],
  ])("%j is for sidecars: %s", (more, applies) => {
    expect(inForce([{ name: "v", hosts: "reviews", more }])).toBe(applies ? "v" : "default");
  });
});

describe("spec/03 3.1 and 10.2 several for one host: the oldest, then by name, then by namespace", () => {
  test.each<[what: string, rules: Rule[], winner: string]>([
    ["creation", [{ name: "a", hosts: NEAR, year: 2025 }, { name: "b", hosts: NEAR, year: 2024 }], "b"],
    ["name", [{ name: "b", hosts: NEAR }, { name: "a", hosts: NEAR, namespace: "other" }], "a"],
    ["one written short, the other in full", [{ name: "a", hosts: "reviews", year: 2025 }, { name: "b", hosts: NEAR }], "b"],
  ])("%s; whatever the order of files", (_what, rules, winner) => {
    expect(inForce(rules)).toBe(winner);
    expect(inForce(rules.toReversed())).toBe(winner);
  });

  test("namespace", () => {
    const found = compileYaml(WORLD + rule({ name: "v", hosts: NEAR, namespace: "other" }) + rule({ name: "v", hosts: NEAR }));
    expect(routesOf(found.snapshot, "9080", `${NEAR}:9080`)[0]?.provenance?.resource).toBe("VirtualService default/v");
  });

  test("the other is shadowed for that host alone, and says so", () => {
    const rules = [{ name: "old", hosts: NEAR, year: 2020 }, { name: "young", hosts: `${FAR}, ${NEAR}` }];
    expect([inForce(rules, NEAR), inForce(rules, FAR)]).toEqual(["old", "young"]);
    expect(compileYaml(WORLD + rules.map(rule).join("")).problems).toEqual([expect.stringContaining("warning: VirtualService default/young: spec.hosts[1]: ignored for this host: VirtualService default/old came first")]);
  });

  test("one that does not apply here does not shadow", () => {
    expect(inForce([{ name: "old", hosts: NEAR, year: 2020, more: ", gateways: [g]" }, { name: "young", hosts: NEAR }])).toBe("young");
    expect(inForce([{ name: "old", hosts: NEAR, year: 2020, namespace: "other", more: ", exportTo: ['.']" }, { name: "young", hosts: NEAR }])).toBe("young");
  });
});

describe("spec/03 3.1 and spec/02 2.3 hosts of no registry", () => {
  const hostsOf = (yaml: string, table: string): string[] => tableOf(compileYaml(WORLD + yaml).snapshot, table).virtualHosts.flatMap(({ domains }) => domains);
  test.each([["legacy.example.com"], ["'*.example.com'"]])("%s is there on port 80 only", (hosts) => {
    const yaml = rule({ name: "v", hosts });
    const host = hosts.replaceAll("'", "");
    expect(hostsOf(yaml, "80")).toContain(host);
    expect(hostsOf(yaml, "9080")).not.toContain(host);
  });

  test.each([
    ["api.example.com", "exactly the host api.example.com, only the wildcard *.example.com"], ["'*.api.example.com'", "exactly the host *.api.example.com, only the wildcard *.example.com"],
    ["'*.example.com'", null], ["'*.com'", null], ["other.com", "the host other.com:"],
  ])("%s beside a ServiceEntry of *.example.com", (hosts, problem) => {
    const entry = `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: e, namespace: default }
spec: { hosts: ["*.example.com"], ports: [{ number: 8080, name: http }] }
`;
    const { problems, snapshot } = compileYaml(WORLD + entry + rule({ name: "v", hosts }));
    expect(problems).toEqual(problem === null ? [] : [expect.stringContaining(`no Service or ServiceEntry has ${problem}`)]);
    expect(tableOf(snapshot, "8080").virtualHosts.some(({ routes }) => routes[0]?.name === "v")).toBe(problem === null);
  });

  test("a rule that holds on no port leaves its host to the service", () => {
    expect(inForce([{ name: "v", hosts: NEAR, rule: "match: [{ port: 1 }], directResponse: { status: 201 }" }])).toBe("default");
    expect(inForce([{ name: "v", hosts: NEAR, rule: "match: [{ gateways: [g] }], directResponse: { status: 201 }" }])).toBe("default");
  });
});
