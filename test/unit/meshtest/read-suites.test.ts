import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../src/config/problem.ts";
import { parseSuites } from "../../../src/meshtest/read-suites.ts";

/* The format of `*.meshtest.yaml`: what is understood, and what is refused where. */

const parse = (text: string) => parseSuites("a/b.meshtest.yaml", Buffer.from(text));
const errors = (text: string): string[] => parse(text).problems.map(formatProblem);
const suite = (text: string) => {
  const { suites, problems } = parse(text);
  expect(problems.map(formatProblem)).toEqual([]);
  return suites[0] as (typeof suites)[number];
};
const request = (text: string) => suite(`cases:\n- request: ${text}\n  expect: {}\n`).cases[0]?.request;

describe("a suite", () => {
  it("has defaults", () => {
    expect(suite("cases: [{request: GET http://a/, expect: {}}]")).toMatchObject({
      file: "a/b.meshtest.yaml", config: ["a"], configErrors: [],
      workload: { podName: "test", namespace: "default", serviceAccount: "default", labels: {}, addresses: [], trustDomain: null },
    });
  });

  it("names configurations relative to its file", () => {
    expect(suite("config: mesh\ncases: [{request: GET http://a/, expect: {}}]").config).toEqual(["a/mesh"]);
    expect(suite("config: [., ../common, /etc/mesh]\ncases: [{request: GET http://a/, expect: {}}]").config).toEqual(["a", "common", "/etc/mesh"]);
  });

  it("is one of several documents", () => {
    const { suites } = parse("workload: {name: one}\ncases: [{request: GET http://a/, expect: {}}]\n---\nworkload: {name: two}\ncases: [{request: GET http://a/, expect: {}}]\n---\n");
    expect(suites.map(({ workload }) => workload.podName)).toEqual(["one", "two"]);
  });

  it("names its cases, or they are named by their requests", () => {
    const { cases } = suite("cases:\n- {name: x, request: GET http://a/, expect: {}}\n- {request: inbound POST http://a/b, expect: {}}\n- {request: {protocol: tcp, to: 'db:1', from: spiffe://cluster.local/ns/n/sa/s}, expect: {}}\n");
    expect(cases.map(({ name }) => name)).toEqual(["x", "inbound POST http://a/b", "tcp db:1 from spiffe://cluster.local/ns/n/sa/s"]);
    expect(cases.map(({ place }) => place.line)).toEqual([2, 3, 4]);
  });
});

describe("a request", () => {
  it("is a line", () => {
    expect(request("GET http://reviews:9080/x")).toMatchObject({ direction: "outbound", method: "GET", url: "http://reviews:9080/x", headers: [], protocol: "http", from: null });
    expect(request("inbound POST /x?y=1")).toMatchObject({ direction: "inbound", method: "POST", url: "/x?y=1" });
  });

  it("has headers as a mapping, with lists, or as pairs", () => {
    expect(request("{url: http://a/, headers: {A: '1', b: ['2', '3']}}")?.headers).toEqual([["A", "1"], ["b", "2"], ["b", "3"]]);
    expect(request("{url: http://a/, headers: [[A, '1'], [A, '2']]}")?.headers).toEqual([["A", "1"], ["A", "2"]]);
  });

  it("takes what it does not say from the defaults", () => {
    const { cases } = suite(`
defaults: {direction: inbound, method: PUT, from: "spiffe://cluster.local/ns/n/sa/s", headers: {x-a: "1", x-b: "2"}}
cases:
- {request: {url: http://a/, headers: {X-A: "3"}}, expect: {}}
- {request: outbound GET http://b/, expect: {}}
`);
    expect(cases[0]?.request).toMatchObject({ direction: "inbound", method: "PUT", from: "spiffe://cluster.local/ns/n/sa/s", headers: [["x-b", "2"], ["X-A", "3"]] });
    expect(cases[1]?.request).toMatchObject({ direction: "outbound", method: "GET", headers: [["x-a", "1"], ["x-b", "2"]] });
  });
});

describe("what is refused", () => {
  const line = (rest: string): string => `cases:\n- request: GET http://a/\n  expect:\n    ${rest}\n`;
  it.each([
    ["cases:\n- request: GET http://a/\n  expct: {}\n", 'a/b.meshtest.yaml:3:3: error: cases[0].expct: unknown field; did you mean "expect"?'],
    [line("clutsers: x"), 'a/b.meshtest.yaml:4:5: error: cases[0].expect.clutsers: unknown field; did you mean "clusters"?'],
    [line("verdict: rout"), 'a/b.meshtest.yaml:4:5: error: cases[0].expect.verdict: must be one of route, reply, deny, reset, not "rout"; did you mean "route"?'],
    [line("status: 99"), "a/b.meshtest.yaml:4:5: error: cases[0].expect.status: must be a whole number from 100 to 599, not 99"],
    [line("timeout: fast"), 'a/b.meshtest.yaml:4:5: error: cases[0].expect.timeout: must be a duration such as "1.5s" or "250ms", not "fast"'],
    [line("route: {ruel: 1}"), 'a/b.meshtest.yaml:4:13: error: cases[0].expect.route.ruel: unknown field; did you mean "rule"?'],
    [line("path: {regexp: x}"), 'a/b.meshtest.yaml:4:12: error: cases[0].expect.path.regexp: unknown field; did you mean "regex"?'],
    [line("path: {regex: '('}"), /^a\/b\.meshtest\.yaml:4:12: error: cases\[0\]\.expect\.path\.regex: "\(" is not a regular expression/],
    [line("path: 7"), "a/b.meshtest.yaml:4:5: error: cases[0].expect.path: must be a string, not 7; put it in quotes"],
    [line("headers: {x-a: 1}"), /^a\/b\.meshtest\.yaml:4:15: error: cases\[0\]\.expect\.headers\.x-a: must be a value, a list of values, a condition/],
    [line("clusters: {a: many}"), 'a/b.meshtest.yaml:4:16: error: cases[0].expect.clusters.a: must be a number, not "many"'],
    [line("clusters: 7"), /^a\/b\.meshtest\.yaml:4:5: error: cases\[0\]\.expect\.clusters: must be a cluster's name, a list/],
    [line("retries: often"), /cases\[0\]\.expect\.retries: must be a whole number/],
    [line("filters: {rbac: allow}"), /cases\[0\]\.expect\.filters\.rbac: must be one of pass, deny, reply, skipped/],
    ["cases:\n- request: http://a/\n  expect: {}\n", 'a/b.meshtest.yaml:2:3: error: cases[0].request: must read "METHOD URL" or "inbound METHOD URL", not "http://a/"'],
    ["cases:\n- request: {metod: GET}\n  expect: {}\n", 'a/b.meshtest.yaml:2:13: error: cases[0].request.metod: unknown field; did you mean "method"?'],
    ["cases:\n- request: {method: GET}\n  expect: {}\n", "a/b.meshtest.yaml:2:3: error: cases[0].request.url: is required"],
    ["cases:\n- request: {url: http://a/, from: me}\n  expect: {}\n", /^a\/b\.meshtest\.yaml:2:29: error: cases\[0\]\.request\.from: must be a SPIFFE ID/],
    ["cases:\n- request: {url: http://a/, headers: {x: [1]}}\n  expect: {}\n", /cases\[0\]\.request\.headers\.x\[0\]: must be a string, not 1/],
    ["cases:\n- request: {url: http://a/, headers: {'a b': x}}\n  expect: {}\n", /^a\/b\.meshtest\.yaml:2:29: error: cases\[0\]\.request\.headers: "a b" is no header name/],
    ["cases:\n- expect: {}\n", "a/b.meshtest.yaml:2:3: error: cases[0].request: is required"],
    ["cases:\n- request: GET http://a/\n", "a/b.meshtest.yaml:2:3: error: cases[0].expect: is required"],
    ["cases: []\n", "a/b.meshtest.yaml:1:1: error: cases: must hold at least one case"],
    ["workload: {}\n", "a/b.meshtest.yaml:1:1: error: cases: is required"],
    ["workload: {adresses: [10.0.0.1]}\ncases: [{request: GET http://a/, expect: {}}]\n", 'a/b.meshtest.yaml:1:12: error: workload.adresses: unknown field; did you mean "addresses"?'],
    ["workload: {addresses: [here]}\ncases: [{request: GET http://a/, expect: {}}]\n", 'a/b.meshtest.yaml:1:24: error: workload.addresses[0]: must be an IP address, not "here"'],
    ["config: []\ncases: [{request: GET http://a/, expect: {}}]\n", "a/b.meshtest.yaml:1:1: error: config: must name a path; leave the field out for the folder of this file"],
    ["cases: [\n", /^a\/b\.meshtest\.yaml:\d+:\d+: error: /],
    ["- a\n", "a/b.meshtest.yaml:1:1: error: must be a mapping with cases"],
    ["a: 1\na: 2\n", 'a/b.meshtest.yaml:2:1: error: the key "a" is there twice'],
    ["", "a/b.meshtest.yaml:0:0: error: holds no tests"],
  ])("%j", (text, message) => {
    if (typeof message === "string") expect(errors(text)).toContain(message);
    else expect(errors(text).join("\n")).toMatch(message);
  });
});
