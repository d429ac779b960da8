import { describe, expect, test } from "vitest";
import type { RouteSpec } from "../../../../src/config/snapshot.ts";
import { REVIEWS, compileYaml, routesOf } from "./compile-yaml.ts";

const HOST = "reviews.default.svc.cluster.local";
const yaml = (rule: string): string => `${REVIEWS}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: default }
spec: { hosts: [reviews], http: [${rule}] }
`;
const routes = (rule: string): readonly RouteSpec[] => routesOf(compileYaml(yaml(rule)).snapshot, "9080", `${HOST}:9080`);
const TO_REVIEWS = "route: [{ destination: { host: reviews } }]";

describe("redirect (spec/03 3.3)", () => {
  test.each([
    ["{ uri: /x }", { status: 301, scheme: null, authority: null, port: null, path: { kind: "whole", value: "/x" } }],
    ["{ prefixRewrite: /x, redirectCode: 308 }", { status: 308, path: { kind: "prefix", length: 4, value: "/x" } }],
    ["{ authority: other, scheme: https, port: 8443 }", { scheme: "https", authority: "other", port: 8443, path: null }],
    ["{ authority: other, derivePort: FROM_REQUEST_PORT }", { port: "FROM_REQUEST_PORT" }],
  ])("%s", (redirect, expected) => {
    expect(routes(`{ match: [{ uri: { prefix: /old } }], redirect: ${redirect} }`)[0]?.action).toMatchObject({ kind: "redirect", ...expected });
  });
});

describe("rewrite (spec/03 3.3)", () => {
  test.each([
    ["uri: { prefix: /api }", "{ uri: / }", { kind: "prefix", length: 4, value: "/" }],
    ["uri: { exact: /api }", "{ uri: /v1 }", { kind: "whole", value: "/v1" }],
    ["uri: { regex: /api/.* }", "{ uri: /v1 }", { kind: "whole", value: "/v1" }],
    ["method: { exact: GET }", "{ uri: /v2/ }", { kind: "prefix", length: 1, value: "/v2/" }],
    ["uri: { prefix: / }", String.raw`{ uriRegexRewrite: { match: "^/a/(.*)$", rewrite: "/b/\\1" } }`, { kind: "regex", regex: "^/a/(.*)$", value: String.raw`/b/\1` }],
  ])("of %s by %s", (match, rewrite, path) => {
    expect(routes(`{ match: [{ ${match} }], rewrite: ${rewrite}, ${TO_REVIEWS} }`)[0]?.changes?.path).toEqual(path);
  });

  test("each match block has its own", () => {
    const rule = `{ match: [{ uri: { prefix: /a } }, { uri: { prefix: /long } }], rewrite: { uri: /x }, ${TO_REVIEWS} }`;
    expect(routes(rule).map(({ changes }) => changes?.path)).toEqual([{ kind: "prefix", length: 2, value: "/x" }, { kind: "prefix", length: 5, value: "/x" }]);
  });

  test.each([
    ["rewrite: { authority: a }, headers: { request: { set: { x-a: b } } }", "a"],
    ["headers: { request: { set: { ':authority': b }, add: { x-a: b } } }", "b"],
    ["headers: { request: { add: { ':authority': c } } }", "c"],
    ["headers: { request: { set: { x-a: d } } }", null],
  ])("the authority by %s", (fields, authority) => {
    expect(routes(`{ ${fields}, ${TO_REVIEWS} }`)[0]?.changes?.authority).toBe(authority);
  });
});

describe("headers (spec/03 3.3)", () => {
  const HEADERS = "headers: { request: { set: { x-b: '2', x-a: '1' }, add: { x-c: '3' }, remove: [X-Gone] }, response: { remove: [server] } }";

  test("what is removed, then what is set, then what is added, by name", () => {
    expect(routes(`{ ${HEADERS}, ${TO_REVIEWS} }`)[0]?.changes).toEqual({
      request: {
        remove: ["x-gone"],
        values: [{ name: "x-a", value: "1", isAppended: false }, { name: "x-b", value: "2", isAppended: false }, { name: "x-c", value: "3", isAppended: true }],
      },
      response: { remove: ["server"], values: [] },
      path: null,
      authority: null,
    });
  });

  test("a single destination's are the rule's, behind its own; of several each has its own", () => {
    const own = "headers: { request: { set: { x-a: own, ':authority': own } } }";
    const [single] = routes(`{ headers: { request: { set: { x-b: rule } } }, route: [{ destination: { host: reviews }, ${own} }] }`);
    expect(single?.changes?.request?.values.map(({ name }) => name)).toEqual(["x-b", "x-a"]);
    expect(single?.changes?.authority).toBe("own");
    const [several] = routes(`{ route: [{ destination: { host: reviews }, weight: 1, ${own} }, { destination: { host: reviews, port: { number: 9080 } }, weight: 1 }] }`);
    expect(several?.changes).toBeUndefined();
    if (several?.action.kind !== "forward") throw new Error("not forwarded");
    expect(several.action.clusters.map(({ changes }) => changes?.authority)).toEqual(["own", undefined]);
  });

  test("a value that nobody can make is an error and leaves the header alone", () => {
    const { problems, snapshot } = compileYaml(yaml(`{ headers: { request: { set: { x-a: '%NO_SUCH%', x-b: ok } } }, ${TO_REVIEWS} }`));
    expect(problems[0]).toMatch(/^error: VirtualService default\/reviews: spec\.http\[0\]\.headers\.request\.set\.x-a: %NO_SUCH% is not a variable that is known here; there are .*: this header is left as it is$/);
    expect(routesOf(snapshot, "9080", `${HOST}:9080`)[0]?.changes?.request?.values.map(({ name }) => name)).toEqual(["x-b"]);
  });

  test("a rule that changes nothing has no changes", () => {
    expect(routes(`{ ${TO_REVIEWS} }`)[0]).not.toHaveProperty("changes");
  });

  test.each(["Content-Length", "transfer-encoding", "connection", "upgrade", "expect"])("%s is nobody's to set: messages are framed by who sends them", (name) => {
    const { snapshot, problems } = compileYaml(yaml(`{ headers: { request: { set: { ${name}: '7' } }, response: { add: { ${name}: '7' } } }, ${TO_REVIEWS} }`));
    expect(routesOf(snapshot, "9080", `${HOST}:9080`)[0]?.changes).toBeUndefined();
    expect(problems).toEqual(["request.set", "response.add"].map((path) => expect.stringMatching(new RegExp(`^error: .*spec\\.http\\[0\\]\\.headers\\.${path}\\.${name}: says where a message ends`)) as string));
  });
});
