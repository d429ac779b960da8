import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { localRateLimitsOf } from "../../../../src/config/kinds/local-rate-limits-of.ts";
import { formatProblem } from "../../../../src/config/problem.ts";
import { parseFile } from "../../../../src/config/source/parse-file.ts";

const SERVICE = `
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener: {portNumber: 8080, filterChain: {filter: {name: envoy.filters.network.http_connection_manager, subFilter: {name: envoy.filters.http.router}}}}
      patch:
        operation: INSERT_BEFORE
        value:
          name: envoy.filters.http.local_ratelimit
          typed_config:
            "@type": type.googleapis.com/udpa.type.v1.TypedStruct
            type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
            value: {stat_prefix: limiter}
    - applyTo: HTTP_ROUTE
      match:
        context: SIDECAR_INBOUND
        routeConfiguration: {vhost: {name: "inbound|http|8000", route: {action: ANY}}}
      patch:
        operation: MERGE
        value:
          route:
            rate_limits:
            - actions:
              - remote_address: {}
              - header_value_match: {descriptor_value: page, headers: [{name: ":path", string_match: {prefix: /page, ignore_case: true}}]}
          typed_per_filter_config:
            envoy.filters.http.local_ratelimit:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: page
              token_bucket: {max_tokens: 100, tokens_per_fill: 50, fill_interval: 60s}
              filter_enabled: {runtime_key: a, default_value: {numerator: 100, denominator: HUNDRED}}
              filterEnforced: {defaultValue: {numerator: 25, denominator: TEN_THOUSAND}}
              response_headers_to_add: [{append: false, header: {key: x-limit, value: "true"}}]
              descriptors:
              - entries: [{key: header_match, value: page}]
                token_bucket: {max_tokens: 10, fill_interval: 120s}
`;
const filterOf = (patches: string): string =>
  `apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: limit, namespace: shop}\nspec:\n  workloadSelector: {labels: {app: page}}\n  configPatches:${patches}`;

function read(text: string) {
  const { parsed } = parseFile("f.yaml", new TextEncoder().encode(text));
  const object = parsed.objects[0];
  return { problems: [...parsed.problems, ...(object?.problems ?? [])].map(formatProblem), resource: object?.resource ?? null };
}

function limitsOf(patches: string) {
  const { resource, problems } = read(filterOf(patches));
  if (resource?.kind !== "EnvoyFilter") throw new Error(problems.join("\n"));
  return localRateLimitsOf(resource.spec);
}

describe("an EnvoyFilter of local rate limits", () => {
  it("is read, in both spellings of its fields, with durations and fractions as numbers", () => {
    const [filter, route] = limitsOf(SERVICE);
    expect(filter).toMatchObject({ patch: 0, scope: "filter", context: "SIDECAR_INBOUND", portNumber: 8080, virtualHost: null, route: null, rateLimits: [] });
    expect(filter?.settings).toMatchObject({ statPrefix: "limiter", filterEnabled: 0, filterEnforced: 0, maxDynamicDescriptors: 20, enableXRatelimitHeaders: "OFF" });
    expect(filter?.settings?.tokenBucket).toBeUndefined();
    expect(route).toMatchObject({ patch: 1, scope: "route", virtualHost: "inbound|http|8000", routeAction: "ANY", domain: null });
    expect(route?.settings).toMatchObject({
      statPrefix: "page", filterEnabled: 1, filterEnforced: 0.0025,
      tokenBucket: { maxTokens: 100, tokensPerFill: 50, fillInterval: 60_000 },
      responseHeadersToAdd: [{ name: "x-limit", value: "true", action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
      descriptors: [{ entries: [{ key: "header_match", value: "page" }], tokenBucket: { maxTokens: 10, tokensPerFill: 1, fillInterval: 120_000 } }],
    });
    expect(route?.rateLimits).toMatchObject([{ stage: 0, actions: [{ remoteAddress: {} }, { headerValueMatch: { descriptorKey: "header_match", expectMatch: true } }] }]);
  });

  it("survives a structured clone", () => {
    const limits = limitsOf(SERVICE);
    expect(structuredClone(limits)).toEqual(limits);
  });

  it("says nothing of what is in force", () => {
    expect(read(filterOf(SERVICE)).problems).toEqual([]);
  });

  it("takes virtual hosts, whole services and outbound routes", () => {
    const config = "typed_per_filter_config: {any.name: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit, stat_prefix: a}}";
    const [host, counted] = limitsOf(`
    - {applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND, routeConfiguration: {portNumber: 9080, vhost: {name: "reviews.shop.svc.cluster.local:9080"}}}, patch: {operation: MERGE, value: {${config}}}}
    - {applyTo: VIRTUAL_HOST, patch: {operation: MERGE, value: {rate_limits: [{actions: [{generic_key: {descriptor_value: all}}]}]}}}
`);
    expect(host).toMatchObject({ scope: "virtualHost", context: "SIDECAR_OUTBOUND", portNumber: 9080, virtualHost: "reviews.shop.svc.cluster.local:9080", rateLimits: [] });
    expect(counted).toMatchObject({ scope: "virtualHost", context: "ANY", settings: null, rateLimits: [{ actions: [{ genericKey: { descriptorKey: "generic_key", descriptorValue: "all" } }] }] });
  });

  it("leaves patches for gateways alone, whatever they hold", () => {
    const { resource, problems } = read(filterOf("\n    - {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: ADD, value: {name: a}}}\n"));
    expect(resource).not.toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("the patch is for gateways or waypoints");
  });
});

/** The second patch of `SERVICE` with one piece replaced. */
const broken = (from: string, to: string): string => {
  expect(SERVICE).toContain(from);
  return filterOf(SERVICE.replace(from, to));
};

describe("what is no local rate limit is refused by name", () => {
  const alone = "of EnvoyFilter, Outrider knows local rate limits of HTTP (envoy.filters.http.local_ratelimit) alone";
  it.each([
    ["{applyTo: HTTP_FILTER, patch: {operation: INSERT_FIRST, value: {name: envoy.filters.http.lua, typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}}}",
      `spec.configPatches[0]: patch 0 (HTTP_FILTER INSERT_FIRST of "envoy.filters.http.lua") is not supported: ${alone}`],
    ["{applyTo: NETWORK_FILTER, patch: {operation: MERGE, value: {name: envoy.filters.network.tcp_proxy}}}",
      `spec.configPatches[0]: patch 0 (NETWORK_FILTER MERGE of "envoy.filters.network.tcp_proxy") is not supported: ${alone}; limits of connections are set by connectionPool of a DestinationRule or Sidecar`],
    ["{applyTo: CLUSTER, patch: {operation: MERGE, value: {connect_timeout: 1s}}}",
      `spec.configPatches[0]: patch 0 (CLUSTER MERGE) is not supported: ${alone}; limits and timeouts of a cluster are set by a DestinationRule`],
    ["{applyTo: HTTP_ROUTE, patch: {operation: MERGE, value: {route: {timeout: 1s}}}}", `spec.configPatches[0]: patch 0 (HTTP_ROUTE MERGE) is not supported: ${alone}`],
    ["{applyTo: BOOTSTRAP}", `spec.configPatches[0]: patch 0 (BOOTSTRAP without operation) is not supported: ${alone}`],
  ])("%s", (patch, message) => {
    const { resource, problems } = read(filterOf(`\n    - ${patch}\n`));
    expect(resource).toBeNull();
    expect(problems[0]).toBe(`f.yaml:7:7: error: EnvoyFilter shop/limit: ${message}`);
  });

  it.each([
    ["a bucket that fills too fast", "fill_interval: 60s", "fill_interval: 0.02s", "token_bucket.fill_interval: must be a duration of at least 50ms, not \"0.02s\""],
    ["a misspelt field", "stat_prefix: page", "stat_prefx: page", "stat_prefx: unknown field; did you mean \"statPrefix\"?"],
    ["an odd descriptor", "fill_interval: 120s", "fill_interval: 90s", "descriptors[0].token_bucket.fill_interval: must be a multiple of 60000ms, the fill_interval of the limit itself"],
    ["an action nobody knows", "remote_address: {}", "dynamic_metadata: {}", "rate_limits[0].actions[0].dynamic_metadata: unknown field"],
  ])("%s", (_title, from, to, message) => {
    const { resource, problems } = read(broken(from, to));
    expect(resource).toBeNull();
    expect(problems.join("\n")).toContain(message);
  });

  it("a route of which more is changed", () => {
    expect(read(broken("          route:\n", "          route:\n            timeout: 1s\n")).problems[0]).toContain(
      "spec.configPatches[1].patch.value.route.timeout: is not supported; of this part of Envoy's configuration only rate_limits are");
  });
});

it("the texts above are YAML", () => expect(parse(filterOf(SERVICE))).toMatchObject({ kind: "EnvoyFilter" }));
