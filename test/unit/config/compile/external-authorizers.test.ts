import { describe, expect, test } from "vitest";
import { compileYaml } from "./compile-yaml.ts";

const HOST = "authz.security.svc.cluster.local";
const CLUSTER = `outbound|8000||${HOST}`;
const SERVICE = `
---
apiVersion: v1
kind: Service
metadata: { name: authz, namespace: security }
spec: { clusterIP: 10.96.0.9, ports: [{ name: http, port: 8000 }] }
`;
const entry = (namespace: string, more = ""): string => `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: authz, namespace: ${namespace} }
spec: { hosts: [authz.test], ports: [{ number: 8000, name: http, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 10.1.1.1 }]${more} }
`;
const mesh = (provider: string, name = "opa"): string => `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "extensionProviders: [{ name: ${name}, ${provider} }, { name: logs, envoyFileAccessLog: {} }]" }
`;
const http = (fields = "", service = HOST): string => mesh(`envoyExtAuthzHttp: { service: ${service}, port: 8000 ${fields} }`);
const OWN_SERVICE = `
---
apiVersion: v1
kind: Service
metadata: { name: authz, namespace: default }
spec: { clusterIP: 10.96.0.9, selector: { app: productpage }, ports: [{ name: http, port: 8000 }] }
`;
const policy = (name = "ask", provider = "opa", more = ""): string => `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: default }
spec: { action: CUSTOM, provider: { name: ${provider} }, rules: [{}] ${more} }
`;

const compiled = (yaml: string) => {
  const { snapshot, problems } = compileYaml(yaml, {}, { allowRejected: true });
  return { external: snapshot.inbound.externalAuthorizers, clusters: snapshot.clusters.filter(({ name }) => name.includes("authz")), problems };
};

describe("a provider that can be asked", () => {
  test("has the defaults of Istio", () => {
    const { external, clusters, problems } = compiled(SERVICE + http() + policy());
    expect(problems).toEqual([]);
    expect(external).toEqual([{
      name: "opa", transport: "http", cluster: CLUSTER, host: HOST, timeoutMs: 600_000, failsOpen: false, statusOnError: 403, pathPrefix: "",
      checkedHeaders: [], addedHeaders: [], body: null, headersToUpstream: [], headersToDownstreamOnAllow: [], headersToDownstreamOnDeny: [], clearsRoute: false,
    }]);
    expect(clusters.map(({ name }) => name)).toEqual([CLUSTER]);
  });

  test("has every option it was given", () => {
    const fields = ", timeout: 2s, failOpen: true, statusOnError: '503', pathPrefix: /check, clearRouteCache: true, includeRequestHeadersInCheck: [X-A, b-*, '*-C'], includeAdditionalHeadersInCheck: { X-B: b }, "
      + "includeRequestBodyInCheck: { maxRequestBytes: 10, allowPartialMessage: true, packAsBytes: true }, headersToUpstreamOnAllow: [u], headersToDownstreamOnDeny: [d], headersToDownstreamOnAllow: [o]";
    const named = (value: string, kind = "exact") => ({ kind, value, ignoreCase: true });
    expect(compiled(SERVICE + http(fields) + policy()).external?.[0]).toMatchObject({
      timeoutMs: 2000, failsOpen: true, statusOnError: 503, pathPrefix: "/check", clearsRoute: true,
      checkedHeaders: [named("x-a"), named("b-", "prefix"), named("-c", "suffix")], addedHeaders: [["X-B", "b"]],
      body: { maxBytes: 10, allowsPartial: true, asBytes: true }, headersToUpstream: [named("u")], headersToDownstreamOnDeny: [named("d")], headersToDownstreamOnAllow: [named("o")],
    });
  });

  test("takes the list of headers under its former name, too", () => {
    expect(compiled(SERVICE + http(", includeHeadersInCheck: [a]") + policy()).external?.[0]?.checkedHeaders).toEqual([{ kind: "exact", value: "a", ignoreCase: true }]);
    expect(compiled(SERVICE + http(", includeHeadersInCheck: [a], includeRequestHeadersInCheck: [b]") + policy()).external?.[0]?.checkedHeaders).toMatchObject([{ value: "b" }]);
  });

  test("is there though the application may not call it, and once where it may", () => {
    const sidecar = (hosts: string): string => `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: own, namespace: default }
spec: { egress: [{ hosts: ["${hosts}"] }] }
`;
    for (const hosts of ["~/*", "*/*"]) {
      expect(compiled(SERVICE + http() + policy() + sidecar(hosts)).clusters.map(({ name }) => name)).toEqual([CLUSTER]);
    }
    expect(compiled(SERVICE + http() + sidecar("~/*")).clusters, "nobody asks").toEqual([]);
  });

  test("is found by namespace and host, or by the host alone where that is one service's", () => {
    for (const service of [HOST, `security/${HOST}`, HOST.toUpperCase()]) expect(compiled(SERVICE + http("", service) + policy()).external).toHaveLength(1);
    expect(compiled(entry("a") + http("", "a/authz.test") + policy()).external?.[0]?.cluster).toBe("outbound|8000||authz.test");
  });
});

test("a provider that would be asked about being asked is told of", () => {
  const { external, problems } = compiled(OWN_SERVICE + http("", "authz.default.svc.cluster.local") + policy());
  expect(external).toHaveLength(1);
  expect(problems).toEqual([expect.stringContaining('warning: AuthorizationPolicy default/ask: spec.selector: provider "opa" is a service of the workload itself')]);
});

describe("a provider that cannot be asked denies, and says why", () => {
  test.each([
    ["is not there", SERVICE + http() + policy("ask", "oap"), 'there is no provider "oap" in extensionProviders of the MeshConfig; did you mean "opa"?'],
    ["is not there at all", policy(), 'there is no provider "opa" in extensionProviders of the MeshConfig'],
    ["is something else", SERVICE + http() + policy("ask", "logs"), 'provider "logs" is no external authorizer: it has neither envoyExtAuthzHttp nor envoyExtAuthzGrpc'],
    ["has no service", http() + policy(), `provider "opa" cannot be asked, there is no service "${HOST}"`],
    ["has one of another namespace", SERVICE + http("", `other/${HOST}`) + policy(), `provider "opa" cannot be asked, there is no service "other/${HOST}"`],
    ["has a name that is no label", SERVICE + mesh(`envoyExtAuthzHttp: { service: ${HOST}, port: 8000 }`, "Open_Policy") + policy("ask", "Open_Policy"), 'provider "Open_Policy" cannot be asked, its name must be lower-case letters, digits and "-", at most 63'],
    ["has not that port", SERVICE + mesh(`envoyExtAuthzHttp: { service: ${HOST}, port: 9 }`) + policy(), `provider "opa" cannot be asked, ${HOST} has no port 9`],
    ["is several services", entry("a") + entry("b") + http("", "authz.test") + policy(), 'provider "opa" cannot be asked, authz.test is a service of several namespaces: a, b'],
    ["is wherever it is called", SERVICE.replace("10.96.0.9", "None") + http() + policy(), `provider "opa" cannot be asked, ${HOST} has no endpoints of its own`],
    ["is somebody else for the workload", entry("a") + entry("default") + http("", "a/authz.test") + policy(), 'provider "opa" cannot be asked, for the workload authz.test is the service of namespace default'],
  ])("one that %s", (_what, yaml, message) => {
    const { external, problems } = compiled(yaml);
    expect(external).toBeUndefined();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`error: AuthorizationPolicy default/ask: spec.provider.name: SECURITY: ${message}`);
    expect(problems[0]).toMatch(/: requests that match its rules are denied$/);
  });

  test("is told of where the policy is for others, too", () => {
    const { external, problems } = compiled(policy("theirs", "opa", ", selector: { matchLabels: { app: reviews } }"));
    expect(external).toBeUndefined();
    expect(problems.filter((line) => line.startsWith("error"))).toEqual([expect.stringContaining("AuthorizationPolicy default/theirs")]);
  });

  test("beside another one of the same workload", () => {
    const two = `
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: "extensionProviders: [{ name: a, envoyExtAuthzHttp: { service: ${HOST}, port: 8000 } }, { name: b, envoyExtAuthzGrpc: { service: ${HOST}, port: 8000 } }]" }
`;
    const { external, problems } = compiled(SERVICE + two + policy("one", "a") + policy("two", "b"));
    expect(external).toBeUndefined();
    expect(problems).toEqual([expect.stringContaining('AuthorizationPolicy default/two: spec.provider.name: SECURITY: a workload may have one provider, and AuthorizationPolicy default/one names "a"')]);
    expect(compiled(SERVICE + two + policy("one", "a") + policy("two", "a")).external).toHaveLength(1);
  });
});
