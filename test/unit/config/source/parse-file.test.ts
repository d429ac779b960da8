import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../src/config/problem.ts";
import { positionOf } from "../../../../src/config/resource.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

const parse = (text: string, file = "f.yaml") => parseFile(file, new TextEncoder().encode(text));
const lines = (text: string, file?: string): string[] => {
  const { parsed } = parse(text, file);
  return [...parsed.problems, ...parsed.objects.flatMap((object) => object.problems)].map(formatProblem);
};
const only = (text: string) => {
  const { parsed } = parse(text);
  expect(parsed.objects).toHaveLength(1);
  return parsed.objects[0] as (typeof parsed.objects)[number];
};

const VIRTUAL_SERVICE = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: reviews
  namespace: shop
spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /api}
    route:
    - destination: {host: reviews, subset: v1}
      weight: 90
    - destination: {host: reviews, subset: v2}
      weight: 10
    timeout: 1.5s
`;

describe("a good file", () => {
  it("becomes a resource with defaults, durations in milliseconds and the place of every field", () => {
    const { resource } = only(VIRTUAL_SERVICE);
    if (resource?.kind !== "VirtualService") throw new Error("not a VirtualService");
    expect(resource.metadata).toEqual({ name: "reviews", namespace: "shop", labels: {}, annotations: {}, creationTimestampMs: null });
    expect(resource.spec.http[0]?.timeout).toBe(1500);
    expect(resource.spec.http[0]?.route.map(({ weight }) => weight)).toEqual([90, 10]);
    expect(resource.spec.tcp).toEqual([]);
    expect(positionOf(resource, [])).toEqual({ line: 1, col: 1 });
    expect(positionOf(resource, ["spec", "http", 0, "timeout"])).toEqual({ line: 16, col: 5 });
    expect(positionOf(resource, ["spec", "http", 0, "route", 1, "weight"])).toEqual({ line: 15, col: 7 });
    // A field that was not written answers with the nearest enclosing one: the list entry.
    expect(positionOf(resource, ["spec", "http", 0, "retries"])).toEqual({ line: 9, col: 5 });
    expect(structuredClone(resource)).toEqual(resource);
  });

  it("reads several documents, Lists, JSON and empty documents", () => {
    const service = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}], clusterIP: null}\n";
    expect(parse(`---\n${service}---\n---\n${service.replace("name: a", "name: b")}`).parsed.objects.map((object) => object.identity?.name)).toEqual(["a", "b"]);
    const json = JSON.stringify({ apiVersion: "v1", kind: "List", items: [{ apiVersion: "v1", kind: "Service", metadata: { name: "c" }, spec: { ports: [{ port: 80, extra: 1 }] } }] }, null, "\t");
    const found = parse(json).parsed.objects;
    expect(found.map((object) => object.resource?.metadata.name)).toEqual(["c"]);
    expect(found[0]?.line).toBe(5);
  });

  it("takes anchors and aliases, CRLF and a byte order mark", () => {
    const text = `\uFEFF${VIRTUAL_SERVICE.replace("{host: reviews, subset: v1}", "&d {host: reviews}").replace("{host: reviews, subset: v2}", "*d").replaceAll("\n", "\r\n")}`;
    const { resource, problems } = only(text);
    expect(problems).toEqual([]);
    expect(resource?.kind === "VirtualService" && resource.spec.http[0]?.route[1]?.destination.host).toBe("reviews");
  });

  it("reads the mesh configuration from mesh.yaml and from the ConfigMap istio, with its places", () => {
    const mesh = parse("trustDomain: example.org\nconnectTimeout: 2s\n", "dir/mesh.yaml").parsed.objects[0];
    expect(mesh?.resource?.kind === "MeshConfig" && mesh.resource.spec).toMatchObject({ trustDomain: "example.org", connectTimeout: 2000, rootNamespace: "istio-system", enableAutoMtls: true });
    const map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    trustDomain: example.org\n    trustDomian: typo\n";
    expect(lines(map)).toEqual(['f.yaml:7:5: error: MeshConfig istio-system/istio: trustDomian: unknown field; did you mean "trustDomain"?']);
  });

  it("names kinds that nobody reads, and leaves other groups' kinds of the same name alone", () => {
    const { parsed, skipped } = parse("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\n");
    expect(parsed.objects).toEqual([]);
    expect(skipped.map(({ kind, line }) => [kind, line])).toEqual([["Deployment", 1], ["Gateway (gateway.networking.k8s.io/v1)", 5]]);
  });
});

describe("a wrong object is refused at its place", () => {
  it.each([
    ["an unknown field", ["timeout: 1.5s", "timeuot: 1.5s"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeuot: unknown field; did you mean "timeout"?'],
    ["a field named like an inherited one", ["timeout: 1.5s", "toString: 1.5s"], "f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].toString: unknown field"],
    ["timeout 0s", ["1.5s", "0s"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a duration of at least 1ms, not "0s"; leave the field out for its default'],
    ["a negative timeout", ["1.5s", "-1s"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a duration of at least 1ms, not "-1s"'],
    ["a duration finer than a millisecond", ["1.5s", "1.0005ms"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a whole number of milliseconds, not "1.0005ms"'],
    ["a number for a duration", ["1.5s", "15"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a duration such as "1.5s", not 15'],
    ["a negative weight", ["weight: 90", "weight: -1"], "f.yaml:13:7: error: VirtualService shop/reviews: spec.http[0].route[0].weight: must be a whole number from 0 to 2147483647, not -1"],
    ["look-ahead in a regex", ["{prefix: /api}", "{regex: '/(?=a)'}"], "f.yaml:10:13: error: VirtualService shop/reviews: spec.http[0].match[0].uri.regex: "],
    ["a regex of 2 KiB (ISTIO-2026-006)", ["{prefix: /api}", `{regex: ${"a".repeat(2048)}}`], "f.yaml:10:13: error: VirtualService shop/reviews: spec.http[0].match[0].uri.regex: the regular expression must be at most 1024 characters long, not 2048"],
    ["a value that is missing", ["timeout: 1.5s", "timeout:"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a duration such as "1.5s", not an empty value'],
    ["a version that does not exist", ["networking.istio.io/v1", "networking.istio.io/v7"], 'f.yaml:1:1: error: VirtualService shop/reviews: apiVersion: "networking.istio.io/v7" is not a version of VirtualService; use '],
    ["a misspelt kind", ["kind: VirtualService", "kind: VirtualServce"], 'f.yaml:2:1: error: VirtualServce shop/reviews: kind: "VirtualServce" is no kind of this API; did you mean "VirtualService"?'],
    ["a misspelt group", ["networking.istio.io", "networkin.istio.io"], "f.yaml:1:1: error: VirtualService shop/reviews: apiVersion: "],
    ["a misspelt spec", ["spec:", "sepc:"], 'f.yaml:6:1: error: VirtualService shop/reviews: sepc: unknown field; did you mean "spec"?'],
    ["a duplicate key", ["timeout: 1.5s", "timeout: 1s\n    timeout: 2s"], 'f.yaml:17:5: error: VirtualService shop/reviews: spec.http[0]: the key "timeout" is there twice'],
    ["__proto__", ["timeout: 1.5s", "__proto__: {a: 1}"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0]: the key "__proto__" is not allowed'],
    ["a merge key (CVE-2025-64718)", ["timeout: 1.5s", "<<: {__proto__: {a: 1}}"], "f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0]: merge keys (<<) are not supported; write the fields out"],
    ["a tag", ["timeout: 1.5s", "timeout: !!js/function 'x'"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: the tag "tag:yaml.org,2002:js/function" is not supported'],
    ["yes for a string", ["subset: v1", "subset: yes"], 'f.yaml:12:36: error: VirtualService shop/reviews: spec.http[0].route[0].destination.subset: "yes" without quotes means different things'],
    ["an octal number", ["weight: 90", "weight: 0o7"], 'f.yaml:13:7: error: VirtualService shop/reviews: spec.http[0].route[0].weight: "0o7" without quotes means different things'],
    ["an infinite number", ["weight: 90", "weight: 1e999"], "f.yaml:13:7: error: VirtualService shop/reviews: spec.http[0].route[0].weight: 1e999 is not a finite number"],
    ["a sexagesimal number", ["1.5s", "1:30"], 'f.yaml:16:5: error: VirtualService shop/reviews: spec.http[0].timeout: must be a duration such as "1.5s" or "250ms", not "1:30"'],
    ["a host that is none", ["hosts: [reviews]", "hosts: ['re views']"], 'f.yaml:7:11: error: VirtualService shop/reviews: spec.hosts[0]: "re views" is not a host name'],
  ] as const)("%s", (_title, [from, to], message) => {
    expect(VIRTUAL_SERVICE).toContain(from);
    const found = lines(VIRTUAL_SERVICE.replace(from, to));
    expect(found[0]?.slice(0, message.length)).toBe(message);
    expect(only(VIRTUAL_SERVICE.replace(from, to)).resource).toBeNull();
  });

  it("and the others of the file are not", () => {
    const { parsed } = parse(`${VIRTUAL_SERVICE.replace("1.5s", "0s")}---\n${VIRTUAL_SERVICE.replace("name: reviews", "name: other")}`);
    expect(parsed.isReadable).toBe(true);
    expect(parsed.objects.map((object) => [object.identity?.name, object.resource !== null])).toEqual([["reviews", false], ["other", true]]);
  });

  it("a template is told to be one", () => {
    const message = "Block collections are not allowed within flow collections; it looks like a template: render it first, one of Helm with `helm template`";
    expect(lines("{{- if .Values.enabled }}\napiVersion: v1\nkind: Service\n{{- end }}\n")).toEqual([`f.yaml:1:3: error: ${message}`]);
    expect(lines("a: [\n# {{ not a template }}\n")[0]).not.toContain("template");
  });

  it("an object whose name cannot be read has no identity", () => {
    expect(only(VIRTUAL_SERVICE.replace("name: reviews", "nmae: reviews")).identity).toBeNull();
    expect(only(VIRTUAL_SERVICE.replace("kind: VirtualService", "kind: VirtualServce")).identity).toBeNull();
    expect(only(VIRTUAL_SERVICE.replace("namespace: shop", "namespace: shop\n  name: other")).identity).toBeNull();
    expect(lines("just text")).toEqual(["f.yaml:1:1: error: must be an object: a mapping with apiVersion, kind and metadata"]);
    expect(lines("a: 1")).toEqual(["f.yaml:1:1: error: is no Kubernetes object: it has no kind"]);
  });
});

describe("fields nobody obeys", () => {
  it("are told, each at its place", () => {
    const delay = VIRTUAL_SERVICE.replace("timeout: 1.5s", "fault: {delay: {exponentialDelay: 1s, fixedDelay: 1s}}");
    const text = `${delay}  tcp:\n  - match: [{sourceSubnet: 10.0.0.0/8}]\n    route: [{destination: {host: reviews}}]\n`;
    expect(lines(text)).toEqual([
      "f.yaml:16:21: warning: VirtualService shop/reviews: spec.http[0].fault.delay.exponentialDelay: unsupported: Istio ignores this field as well; write fixedDelay",
      "f.yaml:18:14: warning: VirtualService shop/reviews: spec.tcp[0].match[0].sourceSubnet: unsupported: Istio ignores this field as well",
    ]);
    expect(only(text).resource).not.toBeNull();
  });

  it.each([
    ["RequestAuthentication", "security.istio.io/v1", "{targetRefs: [{kind: Gateway, name: a}]}", "SECURITY"],
    ["AuthorizationPolicy", "security.istio.io/v1", "{targetRefs: [{kind: Gateway, name: a}], rules: [{}]}", "SECURITY"],
    ["EnvoyFilter", "networking.istio.io/v1alpha3", "{configPatches: [{applyTo: CLUSTER, match: {context: GATEWAY}}]}", "gateways"],
    ["Gateway", "networking.istio.io/v1", "{servers: []}", "sidecar"],
    ["Telemetry", "telemetry.istio.io/v1", "{tracing: [{}]}", "spans"],
    ["ProxyConfig", "networking.istio.io/v1beta1", "{image: {imageType: distroless}}", "image"],
  ])("%s is named loudly", (kind, apiVersion, spec, word) => {
    const found = lines(`apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a}\nspec: ${spec}\n`);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(`warning: ${kind} default/a`);
    expect(found[0]).toContain("unsupported: ");
    expect(found[0]).toContain(word);
  });
});

describe("AuthorizationPolicy (hostile D06)", () => {
  const policy = (spec: string) => `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: ${spec}\n`;

  it.each(["{}", "{rules: [{}]}", "{action: DENY, rules: [{}]}", "{rules: [{when: [{key: 'request.headers[x-a]', values: ['b']}]}]}"])("accepts %s", (spec) => {
    expect(lines(policy(spec))).toEqual([]);
  });

  it.each([
    ["{action: PERMIT}", "spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM"],
    ["{rules: [{when: [{key: source.naemspace, values: [a]}]}]}", 'spec.rules[0].when[0].key: "source.naemspace" is not an attribute that policies know; did you mean "source.namespace"?'],
    ["{rules: [{from: []}]}", "spec.rules[0].from: must not be an empty list"],
    ["{rules: [{from: [{source: {}}]}]}", "spec.rules[0].from[0].source: must set at least one field"],
    ["{rules: [{from: [{source: {principals: []}}]}]}", "spec.rules[0].from[0].source.principals: must not be an empty list"],
    ["{action: DENY}", "spec.rules: is required with action DENY"],
    ["{rules: [{to: [{operation: {ports: ['70000']}}]}]}", "spec.rules[0].to[0].operation.ports[0]: must be a port number"],
    ["{rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}", "spec.rules[0].from[0].source.ipBlocks[0]: must be an IP address or a CIDR block"],
  ])("refuses %s", (spec, message) => {
    expect(lines(policy(spec)).join("\n")).toContain(message);
    expect(only(policy(spec)).resource).toBeNull();
  });

  it("tells whom a refused one selects", () => {
    const selector = (spec: string) => only(policy(spec)).selector;
    expect(selector("{action: PERMIT, selector: {matchLabels: {app: web}}}")).toEqual({ app: "web" });
    expect(selector("{action: PERMIT}")).toEqual({});
    expect(selector("{selecter: {matchLabels: {app: web}}}")).toBeNull();
    expect(selector("{selector: {matchLabels: web}}")).toBeNull();
  });
});
