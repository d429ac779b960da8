import { expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

/* The mesh's configuration as installations have it: every field is known, and what is not obeyed says so. */

const MESH = `
accessLogFile: /dev/stdout
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  image: {imageType: distroless}
  proxyMetadata: {A: b}
  tracing: {zipkin: {address: zipkin.istio-system:9411}, sampling: 10}
  holdApplicationUntilProxyStarts: true
defaultProviders: {metrics: [prometheus]}
enablePrometheusMerge: true
extensionProviders:
- name: otel
  envoyOtelAls: {service: opentelemetry-collector.observability.svc.cluster.local, port: 4317, logFormat: {labels: {pod: "%ENVIRONMENT(POD_NAME)%"}}}
- name: jaeger
  opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317, resourceDetectors: {environment: {}}}
- name: authz
  envoyExtAuthzHttp: {service: ext-authz.foo.svc.cluster.local, port: 8000, timeout: 0.5s, includeRequestHeadersInCheck: [x-ext-authz], includeRequestBodyInCheck: {maxRequestBytes: 4096}}
meshMTLS: {minProtocolVersion: TLSV1_3}
rootNamespace: istio-system
trustDomain: cluster.local
`;

const read = (text: string) => parseFile("mesh.yaml", new TextEncoder().encode(text)).parsed.objects[0];

it("is read whole", () => {
  const object = read(MESH);
  expect(object?.problems.filter(({ severity }) => severity === "error").map(formatProblem)).toEqual([]);
  const resource = object?.resource;
  if (resource?.kind !== "MeshConfig") throw new Error("no MeshConfig");
  expect(resource.spec.extensionProviders.map(({ name }) => name)).toEqual(["otel", "jaeger", "authz"]);
  expect(resource.spec.extensionProviders[2]?.envoyExtAuthzHttp).toMatchObject({ timeout: 500, failOpen: false, includeRequestHeadersInCheck: ["x-ext-authz"], headersToUpstreamOnAllow: [] });
  expect(resource.spec.defaultConfig?.tracing?.sampling).toBe(10);
});

it.each([
  ["a log on stdout, and the metrics that are there", "accessLogFile: /dev/stdout\ndefaultProviders: {accessLogging: [out], metrics: [prometheus]}\nextensionProviders: [{name: out, envoyFileAccessLog: {path: /dev/stdout}}, {name: prom, prometheus: {}}]\n", []],
  ["a log elsewhere", "extensionProviders: [{name: out, envoyFileAccessLog: {path: /var/log/a, logFormat: {text: a}}}]\n", ["extensionProviders[0].envoyFileAccessLog.path: unsupported: the access log goes to stdout", "extensionProviders[0].envoyFileAccessLog.logFormat: unsupported: the access log has its default format"]],
  ["tracing", "defaultProviders: {tracing: [z]}\nextensionProviders: [{name: z, zipkin: {service: z, port: 9411}}]\n", ["defaultProviders.tracing: unsupported: no spans are reported", "extensionProviders[0].zipkin: unsupported: no spans are reported"]],
  ["metrics sent elsewhere", "defaultProviders: {metrics: [Prometheus, other]}\n", ["defaultProviders.metrics[1]: unsupported: metrics are there to be scraped by Prometheus, and sent nowhere"]],
  ["a service for logs", "extensionProviders: [{name: als, envoyHttpAls: {service: als, port: 80}}]\n", ["extensionProviders[0].envoyHttpAls: unsupported: the access log goes to no service"]],
])("says of providers only what is not obeyed: %s", (_what, text, expected) => {
  const found = read(text)?.problems.map(formatProblem) ?? [];
  expect(found.map((problem) => problem.replace(/^.* MeshConfig istio-system\/istio: /, "")).toSorted()).toEqual(expected.toSorted());
});

it.each([
  ["a failure that looks like success", 'statusOnError: "204"', "statusOnError: tells whoever is denied by 204 that all went well; use 4xx or 5xx"],
  ["a doubled slash", "pathPrefix: /check/", 'pathPrefix: goes before a path that begins with "/": /x is asked about as /check//x; leave its last "/" out'],
  ["a prefix", "pathPrefix: /check", null],
  ["a failure", 'statusOnError: "503"', null],
])("warns of an external authorizer's %s", (_what, field, expected) => {
  const found = read(`extensionProviders: [{name: a, envoyExtAuthzHttp: {service: a, port: 80, ${field}}}]\n`)?.problems.map(formatProblem);
  expect(found).toEqual(expected === null ? [] : [expect.stringContaining(`warning: MeshConfig istio-system/istio: extensionProviders[0].envoyExtAuthzHttp.${expected}`)]);
});

it("says of a field that is not obeyed what happens instead, at its place", () => {
  expect(read("trustDomain: a.test\nserviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.a.test']}]\n")?.problems.map(formatProblem)).toEqual([
    "mesh.yaml:2:1: warning: MeshConfig istio-system/istio: serviceSettings: unsupported: endpoints of all clusters are used",
  ]);
});
