import { describe, expect, it } from "vitest";
import { compile } from "../../../../src/config/compile/compile.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import type { RateLimitSpec } from "../../../../src/config/snapshot-route.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";
import { networking, type Resource, service, yamlOf } from "../../../integration/mesh-resources.ts";

/* What limits are compiled to, and what is said of those that cannot be. */

const REVIEWS = service({ name: "reviews", endpoints: [{ port: 9080, address: "10.0.0.1" }] });
const annotated = (limits: string, http: readonly Resource[] = [{ name: "all", route: [{ destination: { host: "reviews" } }] }]): Resource => ({
  ...networking("VirtualService", "reviews", { hosts: ["reviews"], http }), metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": limits } },
});

function compiled(...resources: readonly (Resource | readonly Resource[])[]): { limits: readonly RateLimitSpec[]; inbound: readonly RateLimitSpec[]; problems: string[] } {
  const { parsed } = parseFile("mesh.yaml", Buffer.from(yamlOf(...resources)));
  const refused = [...parsed.problems, ...parsed.objects.flatMap(({ problems }) => problems)].filter(({ severity }) => severity === "error");
  expect(refused.map(formatProblem)).toEqual([]);
  const { snapshot, problems } = compile({
    resources: parsed.objects.flatMap(({ resource }) => (resource === null ? [] : [resource])),
    workload: { podName: "reviews-1", namespace: "default", serviceAccount: "reviews", addresses: ["10.0.0.1"], labels: { app: "reviews" }, trustDomain: null },
    version: 1,
  });
  return {
    limits: snapshot.outbound.routeTables.flatMap(({ virtualHosts }) => virtualHosts.flatMap(({ routes }) => routes.flatMap(({ rateLimits = [] }) => rateLimits))),
    inbound: snapshot.inbound.ports.flatMap(({ rateLimits = [] }) => rateLimits),
    problems: problems.filter(({ severity }) => severity === "error" || /limit|filter/.test(severity)).map(({ message }) => message),
  };
}

describe("outrider.io/rate-limit", () => {
  it("is a bucket for all, or one for each value, with defaults", () => {
    const { limits, problems } = compiled(REVIEWS, annotated("[{requests: 10, per: 1s}, {requests: 5, per: 1m, burst: 20, by: [header X-User, method], when: {path: {prefix: /pay}}, maxKeys: 50, name: payers}]"));
    expect(problems).toEqual([]);
    expect(limits).toMatchObject([
      { name: "VirtualService/default/reviews/0", total: { maxTokens: 10, tokensPerFill: 10, fillIntervalMs: 1000 }, buckets: [], status: 429, grpcStatus: 8, headers: "ratelimit", enforcedPerMillion: 1_000_000 },
      { name: "VirtualService/default/reviews/payers", total: null, buckets: [[{ bucket: { maxTokens: 20, tokensPerFill: 5, fillIntervalMs: 60_000 }, maxBuckets: 50, keys: [
        { kind: "path", match: { kind: "prefix", value: "/pay" }, each: false, takesAbsent: false },
        { kind: "header", name: "x-user", each: true, takesAbsent: true },
        { kind: "method", each: true },
      ] }]] },
    ]);
    expect(limits[0]?.place).toMatchObject({ resource: "VirtualService default/reviews", file: "mesh.yaml" });
  });

  it.each([
    ["requests: 1", "must be a list, an entry for each limit: requests are not limited"],
    ["[{requests: 1}]", "[0].per: is required: requests are not limited"],
    ["[{requests: 0, per: 1s}]", "[0].requests: must be a whole number from 1 to 1000000000, not 0: requests are not limited"],
    ["[{requests: 1, per: 1s, burts: 3}]", '[0].burts: unknown field; did you mean "burst"?: requests are not limited'],
    ["[{requests: 1, per: 1s, by: [user]}]", '[0].by[0]: must be one of principal, namespace, requestPrincipal, method, path, host, address, header NAME and query NAME, not "user": requests are not limited'],
    ["[{requests: 1, per: 1s, when: {header: x}}]", '[0].when: must be one of principal, namespace, requestPrincipal, method, path, host, address, header NAME and query NAME, not "header": requests are not limited'],
    ["[{requests: 1, per: 1s, when: {path: {regex: '('}}}]", "[0].when.path: must be a text, or one of exact, prefix and regex: requests are not limited"],
    ["[{requests: 1, per: 1s, by: principal}]", "[0]: principal is that of a caller, and a VirtualService's limits hold at the caller; annotate the Service: requests are not limited"],
    ["[{requests: 1, per: 1s, port: 80}]", "[0].port: is for a Service; a VirtualService's limits go with its rules: requests are not limited"],
    ["[{requests: 1, per: 1s, name: a}, {requests: 2, per: 1s, name: a}]", '[1].name: another entry is called "a": requests are not limited'],
    ["[{requests: 1, per: 1s, rule: none}]", 'no rule is called "none": its limit holds for nothing'],
    ["a: b: c", /^is not YAML: .*: requests are not limited$/],
    ["&a [*a, *a]", /requests are not limited$/],
    [`[${"[".repeat(10_000)}`, /requests are not limited$/],
    [" ".repeat(20_000), "is longer than 16384 characters: requests are not limited"],
  ])("%s is an error, and limits nothing", (limits, message) => {
    const output = compiled(REVIEWS, annotated(limits));
    expect(output.problems).toEqual([typeof message === "string" ? message : expect.stringMatching(message)]);
    expect(output.limits).toEqual([]);
  });

  it("of a delegate holds for its own rules, beside that of the root for all that it delegates", () => {
    const root = annotated("[{requests: 9, per: 1s}]", [{ match: [{ uri: { prefix: "/team" } }], delegate: { name: "team", namespace: "default" } }, { route: [{ destination: { host: "reviews" } }] }]);
    const delegate = {
      ...networking("VirtualService", "team", { http: [{ name: "pay", match: [{ uri: { prefix: "/team/pay" } }], route: [{ destination: { host: "reviews" } }] }, { route: [{ destination: { host: "reviews" } }] }] }),
      metadata: { name: "team", namespace: "default", annotations: { "outrider.io/rate-limit": "[{requests: 1, per: 1s, rule: pay}]" } },
    };
    const { limits, problems } = compiled(REVIEWS, root, delegate);
    expect(problems).toEqual([]);
    expect(limits.map(({ name }) => name)).toEqual([
      "VirtualService/default/reviews/0", "VirtualService/default/team/0", "VirtualService/default/reviews/0", "VirtualService/default/reviews/0",
    ]);
  });

  it("of a Service holds where its requests arrive", () => {
    const of = (limits: string) => compiled({ ...REVIEWS[0], metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": limits } } }, REVIEWS.slice(1));
    expect(of("[{requests: 1, per: 1s, by: principal}]")).toMatchObject({ limits: [], problems: [], inbound: [{ name: "Service/default/reviews/0", buckets: [[{ keys: [{ kind: "principal", each: true, takesAbsent: true }] }]] }] });
    expect(of("[{requests: 1, per: 1s, rule: a}]")).toMatchObject({ inbound: [], problems: ["[0].rule: a Service has no rules: requests are not limited"] });
  });

  it("of a ServiceEntry holds where its requests arrive, too", () => {
    const entry = {
      ...networking("ServiceEntry", "reviews", { hosts: ["reviews.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: 9080, name: "http", protocol: "HTTP" }], endpoints: [{ address: "10.0.0.1" }] }),
      metadata: { name: "reviews", namespace: "default", annotations: { "outrider.io/rate-limit": "[{requests: 1, per: 1s, port: 9080}]" } },
    };
    expect(compiled(entry)).toMatchObject({ limits: [], problems: [], inbound: [{ name: "ServiceEntry/default/reviews/0" }] });
  });
});

const TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

describe("an EnvoyFilter", () => {
  const bucket = { max_tokens: 1, fill_interval: "1s" };
  const limited = (more: Resource, operation = "INSERT_FIRST"): Resource => ({
    ...networking("EnvoyFilter", "limit", { configPatches: [{
      applyTo: "HTTP_FILTER", match: { context: "SIDECAR_OUTBOUND" },
      patch: { operation, value: { name: "envoy.filters.http.local_ratelimit", typed_config: { "@type": TYPE, stat_prefix: "limiter", token_bucket: bucket, filter_enabled: { default_value: { numerator: 50 } }, ...more } } },
    }] }), apiVersion: "networking.istio.io/v1alpha3",
  });
  const counted = (action: Resource): Resource => ({ descriptors: [{ entries: [{ key: "header_match", value: "a" }], token_bucket: bucket }], rate_limits: [{ actions: [action] }] });

  it("is a limit of each listener of its direction, with buckets of its own", () => {
    const { limits, problems } = compiled(REVIEWS, limited({}));
    expect(problems).toEqual([]);
    // The service's route, and the one for hosts that nobody claims.
    expect(limits.map(({ name }) => name)).toEqual(Array.from({ length: 2 }, () => "EnvoyFilter/default/limit/0/outbound/9080"));
    expect(limits[0]).toMatchObject({ statName: "limiter", enabledPerMillion: 500_000, enforcedPerMillion: 0, grpcStatus: 14, headers: "none", total: { maxTokens: 1, tokensPerFill: 1, fillIntervalMs: 1000 }, alwaysTakesTotal: true, place: { resource: "EnvoyFilter default/limit", rule: 0 } });
  });

  it.each([
    [{ masked_remote_address: {} }, "the action masked_remote_address"],
    [{ source_cluster: {} }, "the action source_cluster"],
    [{ request_headers: { header_name: "x", descriptor_key: "x", skip_if_absent: true } }, "skip_if_absent of request_headers"],
    [{ header_value_match: { descriptor_value: "a", headers: [{ name: "x", range_match: { start: 1, end: 2 } }] } }, "range_match of a header"],
    [{ header_value_match: { descriptor_value: "a", expect_match: false, headers: [{ name: "x", present_match: true }, { name: "y", present_match: true }] } }, "expect_match: false of several conditions"],
  ])("%j is an error, and limits nothing", (action, what) => {
    const { limits, problems } = compiled(REVIEWS, limited(counted(action)));
    expect([limits, problems]).toEqual([[], [`${what} is not supported: this limit is not in force`]]);
  });

  it("that merges into a filter nobody put in limits nothing", () => {
    expect(compiled(REVIEWS, limited({}, "MERGE")).limits).toEqual([]);
  });
});
