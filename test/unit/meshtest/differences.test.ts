import { describe, expect, it } from "vitest";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { differences } from "../../../src/meshtest/differences.ts";
import { parseSuites } from "../../../src/meshtest/read-suites.ts";

/* What a case asserts, row by row: a row that holds, and one that does not with its words. */

const NONE = { resource: null, rule: null, file: null, line: null };
const ROUTED: Explanation = {
  direction: "outbound", protocol: "http", verdict: "route", status: null, flag: "-", details: "via_upstream",
  route: { resource: "VirtualService shop/reviews", rule: 1, file: "mesh/routing.yaml", line: 12, name: "canary", action: "forward" },
  clusters: [
    { name: "v1", weight: 90, endpoints: ["10.0.0.1:80"], unhealthy: [], transport: "mtls" },
    { name: "v2", weight: 10, endpoints: ["10.0.0.2:80"], unhealthy: [], transport: "mtls" },
  ],
  request: { method: "GET", authority: "reviews:9080", path: "/a/b?c=d", headers: [["Host", "reviews:9080"], ["X-Group", "testers"], ["accept", "a"], ["Accept", "b"]] },
  timeoutMs: 2000,
  retries: { attempts: 2, perTryTimeoutMs: 500, retryOn: ["5xx", "retriable-status-codes"], retriableStatuses: [409], isExplicit: true, avoidsPreviousHosts: true, prefersRemoteLocalities: false },
  mirrors: [],
  filters: [{ ...NONE, name: "rbac", verdict: "pass", reason: null, nearMiss: null }],
  tried: [], destination: "10.0.0.9:9080", listener: null, virtualHost: null, mtls: null, reply: null,
};
const DENIED: Explanation = {
  ...ROUTED, direction: "inbound", verdict: "deny", status: 403, details: "rbac_access_denied_matched_policy[none]", clusters: [], request: null, timeoutMs: null, retries: null, route: null,
  filters: [{ name: "rbac", verdict: "deny", resource: "AuthorizationPolicy shop/callers", rule: 0, file: "policies.yaml", line: 7, reason: "no ALLOW rule matches", nearMiss: null }],
  reply: { headers: [["content-type", "text/plain"]], body: "RBAC: access denied" },
};

function found(yaml: string, got: Explanation): string[] {
  const { suites, problems } = parseSuites("x.meshtest.yaml", Buffer.from(`cases:\n- request: GET http://a/\n  expect: ${yaml}\n`));
  expect(problems).toEqual([]);
  return differences(suites[0]?.cases[0]?.expect ?? {}, got).map(({ field, expected, got: actual }) => `${field.join(".")}: ${expected} / ${actual}`);
}

const ASKED: Explanation = { ...ROUTED, direction: "inbound", filters: [{ ...NONE, name: "ext-authz", verdict: "skipped", reason: null, nearMiss: null, provider: "opa" }] };

describe("who is asked", () => {
  it.each([["{asks: opa}", ASKED, []], ["{asks: null}", ROUTED, []], ["{asks: null}", ASKED, ["asks: nobody is asked / opa"]], ["{asks: opa}", ROUTED, ["asks: opa / nobody is asked"]], ["{asks: other}", ASKED, ["asks: other / opa"]]])("%s", (yaml, got, expected) => {
    expect(found(yaml, got)).toEqual(expected);
  });
});

describe("what holds", () => {
  it.each([
    "{}", "{verdict: route, status: null, flag: '-', details: via_upstream}",
    "{route: VirtualService shop/reviews}", "{route: {resource: VirtualService shop/reviews, rule: 1, name: canary, file: routing.yaml, line: 12}}",
    "{clusters: [v2, v1]}", "{clusters: {v1: 90, v2: 10}}", "{clusters: {v2: 1, v1: 9}}",
    "{endpoints: ['10.0.0.2:80', '10.0.0.1:80'], transport: mtls}",
    "{method: GET, authority: 'reviews:9080', path: /a/b?c=d}", "{path: {prefix: /a, suffix: d, contains: b, regex: '/a/.*'}}",
    "{headers: {x-group: testers, ACCEPT: [a, b], x-none: null, X-Other: {present: false}, host: {present: true}, accept: {exact: b}}}",
    "{headers: {x-group: {prefix: test, regex: '[a-z]+'}}}",
    "{timeout: 2s, retries: 2}", "{retries: {attempts: 2, perTryTimeout: 0.5s, retryOn: '5xx, 409'}}", "{retries: {retryOn: [5xx, retriable-status-codes, '409']}}",
    "{deniedBy: null, filters: {rbac: pass}}",
  ])("%s", (yaml) => expect(found(yaml, ROUTED)).toEqual([]));

  it.each([
    "{verdict: deny, status: 403, details: {prefix: rbac_access_denied}}", "{route: null, clusters: [], endpoints: [], timeout: null, retries: null}",
    "{deniedBy: AuthorizationPolicy shop/callers}", "{deniedBy: rbac}", "{deniedBy: {filter: rbac, resource: AuthorizationPolicy shop/callers, rule: 0, reason: {contains: no ALLOW}}}",
    "{filters: {rbac: deny}, body: 'RBAC: access denied', replyHeaders: {Content-Type: text/plain}}", "{timeout: 0s, retries: 0}",
  ])("%s of a denial", (yaml) => expect(found(yaml, DENIED)).toEqual([]));
});

describe("what differs", () => {
  it.each([
    ["{verdict: deny}", "verdict: deny / route"],
    ["{status: 200}", "status: 200 / none"],
    ["{flag: UH}", "flag: UH / -"],
    ["{details: {prefix: rbac}}", 'details: prefix "rbac" / "via_upstream"'],
    ["{route: null}", "route: no rule of a resource / VirtualService shop/reviews, rule 1 (mesh/routing.yaml:12)"],
    ["{route: VirtualService shop/other}", "route: VirtualService shop/other / VirtualService shop/reviews, rule 1 (mesh/routing.yaml:12)"],
    ["{route: {name: stable}}", "route.name: stable / canary (VirtualService shop/reviews, rule 1 (mesh/routing.yaml:12))"],
    ["{route: {file: uting.yaml}}", "route.file: uting.yaml / VirtualService shop/reviews, rule 1 (mesh/routing.yaml:12)"],
    ["{clusters: v1}", "clusters: v1 / v1 (90), v2 (10)"],
    ["{clusters: [v1]}", "clusters: v1 / v1 (90), v2 (10)"],
    ["{clusters: {v1: 80, v2: 20}}", "clusters: v1 (80), v2 (20) / v1 (90), v2 (10)"],
    ["{clusters: []}", "clusters: none / v1 (90), v2 (10)"],
    ["{endpoints: ['10.0.0.1:80']}", "endpoints: 10.0.0.1:80 / 10.0.0.1:80, 10.0.0.2:80"],
    ["{transport: plaintext}", "transport: plaintext / mtls"],
    ["{method: POST}", "method: POST / GET"],
    ["{authority: {suffix: '.svc'}}", 'authority: suffix ".svc" / "reviews:9080"'],
    ["{path: {prefix: /a, regex: '/b'}}", 'path: prefix "/a" and regex "/b" / "/a/b?c=d"'],
    ["{headers: {x-group: null}}", 'headers.x-group: not there / "testers"'],
    ["{headers: {x-none: {present: true}}}", "headers.x-none: there / not there"],
    ["{headers: {accept: a}}", 'headers.accept: "a" / "a", "b"'],
    ["{headers: {accept: [b, a]}}", 'headers.accept: "b", "a" / "a", "b"'],
    ["{headers: {x-group: {suffix: x}}}", 'headers.x-group: suffix "x" / "testers"'],
    ["{timeout: 1s}", "timeout: 1000ms / 2000ms"],
    ["{timeout: null}", "timeout: none / 2000ms"],
    ["{retries: null}", "retries: none / 2 retries"],
    ["{retries: {attempts: 1, perTryTimeout: 1s, retryOn: 5xx}}", "retries.attempts: 1 / 2"],
    ["{retries: {retryOn: 5xx}}", "retries.retryOn: 5xx / 5xx, 409"],
    ["{deniedBy: AuthorizationPolicy shop/callers}", "deniedBy: AuthorizationPolicy shop/callers / nothing denied it"],
    ["{filters: {rbac: deny}}", "filters.rbac: deny / pass"],
    ["{filters: {jwt: pass}}", "filters.jwt: pass / it was not asked"],
    ["{body: x}", 'body: "x" / nothing'],
    ["{replyHeaders: {location: /}}", 'replyHeaders.location: "/" / the proxy does not answer by itself'],
  ])("%s", (yaml, first) => expect(found(yaml, ROUTED)[0]).toBe(first));

  it.each([
    ["{headers: {x-none: null}}", "headers.x-none: not there / nothing is sent upstream"],
    ["{path: /}", 'path: "/" / nothing'],
    ["{transport: mtls}", "transport: mtls / nothing is sent upstream"],
    ["{deniedBy: null}", "deniedBy: nothing denies it / rbac, AuthorizationPolicy shop/callers, rule 0 (policies.yaml:7): no ALLOW rule matches"],
    ["{deniedBy: {resource: null}}", "deniedBy.resource: no policy in particular / rbac, AuthorizationPolicy shop/callers, rule 0 (policies.yaml:7): no ALLOW rule matches"],
    ["{route: {rule: 1}}", "route.rule: 1 / no route"],
  ])("%s of a denial", (yaml, first) => expect(found(yaml, DENIED)[0]).toBe(first));
});
