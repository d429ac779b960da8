import { describe, expect, it } from "vitest";

import { describeExplanation } from "../../../src/explain/describe-explanation.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { meshConfig, type Resource, security, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

const HOST = "authz.security.svc.cluster.local";
const base = (kind: string): (Resource | readonly Resource[])[] => [
  service({ name: "reviews", port: 9080, endpoints: [{ address: "10.0.0.1", port: 9080 }] }),
  service({ name: "database", clusterIP: "10.96.0.11", port: 3306, portName: "tcp", selector: { app: "reviews" }, endpoints: [{ address: "10.0.0.1", port: 3306 }] }),
  service({ name: "authz", namespace: "security", clusterIP: "10.96.0.12", port: 8000, endpoints: [{ address: "10.0.0.9", port: 8000 }] }),
  meshConfig({ extensionProviders: [{ name: "opa", [kind]: { service: HOST, port: 8000 } }] }),
  security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{ to: [{ operation: { paths: ["/ask*"] } }] }] }),
];
const GET = { direction: "inbound", url: "http://reviews:9080/ask/me" };
const TCP = { direction: "inbound", protocol: "tcp", to: "10.0.0.1:3306" };

describe("explain and an external authorizer", () => {
  it("names who decides, and what comes after it", () => {
    const { filters, verdict, request } = meshOf(base("envoyExtAuthzHttp")).explain(GET);
    expect(filters).toMatchObject([
      { name: "sni" }, { name: "ext-authz", verdict: "skipped", provider: "opa", resource: "AuthorizationPolicy default/ask", rule: 0, file: "mesh.yaml", reason: 'rule 0 leaves it to provider "opa", having matched it: to.operation.paths is "/ask/me"; it decides, and has not been asked' },
      { name: "rbac", verdict: "pass" },
    ].filter(({ name }) => filters.some((gate) => gate.name === name)));
    expect([verdict, request?.path]).toEqual(["route", "/ask/me"]);
  });

  it("says so in words", () => {
    const mesh = meshOf(base("envoyExtAuthzHttp"));
    expect(describeExplanation(mesh.explain(GET), parseExplainRequest(GET))).toMatch(/is sent on.*, if provider "opa" allows it\.\n/);
    const free = { ...GET, url: "http://reviews:9080/free" };
    expect(describeExplanation(mesh.explain(free), parseExplainRequest(free))).not.toContain("opa");
  });

  it("tells of a DENY that comes after it", () => {
    const closed = security("AuthorizationPolicy", "closed", { action: "DENY", rules: [{}] });
    const { filters, verdict } = meshOf([...base("envoyExtAuthzHttp"), closed]).explain(GET);
    expect(verdict).toBe("deny");
    expect(filters.filter(({ verdict: said }) => said !== "pass").map(({ name, verdict: said }) => [name, said])).toEqual([["ext-authz", "skipped"], ["rbac", "deny"]]);
  });

  it("of an opaque connection is asked over gRPC only", () => {
    const overGrpc = meshOf(base("envoyExtAuthzGrpc")).explain(TCP);
    expect([overGrpc.verdict, overGrpc.filters.map(({ name, verdict, provider }) => [name, verdict, provider])]).toEqual(["route", [["ext-authz", "skipped", "opa"], ["rbac", "pass", undefined]]]);
    const overHttp = meshOf(base("envoyExtAuthzHttp")).explain(TCP);
    expect([overHttp.verdict, overHttp.filters.map(({ name, verdict, provider }) => [name, verdict, provider])]).toEqual(["deny", [["ext-authz", "deny", undefined]]]);
    expect(overHttp.filters[0]?.reason).toMatch(/it cannot be asked$/);
  });
});
