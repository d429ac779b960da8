import { describe, expect, it } from "vitest";
import { lintYaml, serviceWith } from "./lint-yaml.ts";

/* spec/05 5.5, "CUSTOM". */

function mesh(...providers: string[]): string {
  return `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  mesh: |
    extensionProviders: [${providers.join(", ")}]
`;
}

function custom(rules: string, more = "", provider = "opa"): string {
  return `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ask, namespace: default }
spec: { action: CUSTOM, provider: { name: ${provider} }, rules: [${rules}] ${more} }
`;
}

const authorizer = (kind: string, name = "opa", more = ", timeout: 1s"): string => `{ name: ${name}, ${kind}: { service: opa.security.svc.cluster.local, port: 8181 ${more} } }`;
const HTTP = mesh(authorizer("envoyExtAuthzHttp"));
const db = serviceWith("db", "{ name: tcp-db, port: 5432 }");
const WHY = 'provider "opa" is asked over HTTP, which cannot be done about a connection that is not HTTP; '
  + "add to.operation.ports with the HTTP ports that are meant, or have a provider over gRPC (envoyExtAuthzGrpc)";
const PLACE = "to TCP port 5432 of db.default.svc.cluster.local (test.yaml:6)";

describe("custom-denies-tcp", () => {
  it.each([
    ["{}", `denies every connection ${PLACE}: `],
    ["{ to: [{ operation: { paths: [/a*] } }] }", `denies every connection ${PLACE}, for which paths does not count: `],
    ["{ to: [{ operation: { paths: [/a*], methods: [GET] } }] }", `denies every connection ${PLACE}, for which methods and paths do not count: `],
    ["{ from: [{ source: { ipBlocks: [192.0.2.0/24] } }] }", `denies every connection that fits its other conditions ${PLACE}: `],
    ["{ to: [{ operation: { ports: ['5432'] } }] }", `denies every connection that fits its other conditions ${PLACE}: `],
  ])("is told of %s", (rule, expected) => {
    expect(lintYaml(db + HTTP + custom(rule))).toEqual([`custom-denies-tcp: spec.rules[0]: ${expected}${WHY}`]);
  });

  it("is told of each rule that reaches such a port, and of those only", () => {
    expect(lintYaml(db + HTTP + custom("{ to: [{ operation: { ports: ['80'] } }] }, {}")).map((line) => line.split(": ")[1])).toEqual(["spec.rules[1]"]);
    expect(lintYaml(serviceWith("web", "{ name: tls-x, port: 9443 }") + HTTP + custom("{}"))).toHaveLength(1);
  });

  it.each([
    ["a provider over gRPC", db + mesh(authorizer("envoyExtAuthzGrpc")) + custom("{}")],
    ["another provider", db + mesh(authorizer("envoyExtAuthzHttp", "other"), authorizer("envoyExtAuthzGrpc")) + custom("{}")],
    ["a provider that is not there, of which the compiler speaks", db + HTTP + custom("{}", "", "gone")],
    ["no configuration of the mesh", db + custom("{}")],
    ["the HTTP ports by name", db + HTTP + custom("{ to: [{ operation: { ports: ['80'] } }] }")],
    ["a condition on the port", db + HTTP + custom("{ when: [{ key: destination.port, notValues: ['5432'] }] }")],
    ["other workloads", db + HTTP + custom("{}", ", selector: { matchLabels: { app: web } }")],
    ["gateways", db + HTTP + custom("{}", ", targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]")],
    ["ports that are HTTP", serviceWith("web", "{ name: http, port: 80 }") + HTTP + custom("{}")],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml, "custom-denies-tcp")).toEqual([]);
  });
});

describe("authorizer-without-timeout", () => {
  const expected = (at: string): string => `authorizer-without-timeout: extensionProviders${at}: has no timeout: when "opa" does not answer, every request that it is asked about is held for 10 minutes; `
    + "write timeout: 1s, or as long as its slowest answer takes";

  it.each(["envoyExtAuthzHttp", "envoyExtAuthzGrpc"])("is told of %s", (kind) => {
    expect(lintYaml(mesh(authorizer(kind, "timely"), authorizer(kind, "opa", "")))).toEqual([expected(`[1].${kind}`)]);
  });

  it.each([
    ["a timeout, however long", mesh(authorizer("envoyExtAuthzHttp", "opa", ", timeout: 600s"))],
    ["providers for other things", mesh("{ name: zipkin, zipkin: { service: zipkin.istio-system.svc.cluster.local, port: 9411 } }")],
    ["none", mesh()],
  ])("not: %s", (_what, yaml) => {
    expect(lintYaml(yaml)).toEqual([]);
  });
});
