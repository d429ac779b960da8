import { afterAll, beforeAll, expect, test } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { Explainer } from "../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../src/explain/explain-request.ts";
import { TestIssuer } from "../unit/filter/jwt-fixtures.ts";
import { security, service, yamlOf } from "./mesh-resources.ts";
import { exchange, ProxyUnderTest, statusOf } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

/* What explain says of requests with tokens is what becomes of them: status, details, and the request the application gets. */

const issuer = new TestIssuer();
const second = new TestIssuer("second");
const exp = Math.floor(systemClock.wallMs() / 1000) + 3600;
const first = (claims: Record<string, unknown> = {}): string => issuer.token({ iss: "https://a", exp, ...claims });
const other = (claims: Record<string, unknown> = {}): string => second.token({ iss: "https://b", exp, ...claims });

let application: TestApplication;
let proxy: ProxyUnderTest;
let explainer: Explainer;

beforeAll(async () => {
  application = await TestApplication.start("app");
  const { port } = application;
  const yaml = yamlOf(service({ name: "app", targetPort: port, selector: { app: "test" }, endpoints: [{ port }] }), [
    security("RequestAuthentication", "jwt", { jwtRules: [
      { issuer: "https://a", jwks: issuer.jwks, audiences: ["shop"], outputClaimToHeaders: [{ header: "x-user", claim: "sub" }] },
      { issuer: "https://b", jwks: second.jwks, fromHeaders: [{ name: "x-b" }], fromCookies: ["b"], forwardOriginalToken: true, outputPayloadToHeader: "x-payload" },
    ] }),
    security("AuthorizationPolicy", "allow", { rules: [
      { from: [{ source: { requestPrincipals: ["https://a/*"] } }] },
      { when: [{ key: "request.auth.claims[scope]", values: ["read"] }] },
      { to: [{ operation: { paths: ["/open"] } }] },
    ] }),
  ]);
  proxy = await ProxyUnderTest.start({ yaml });
  explainer = new Explainer(proxy.compile(yaml));
});

afterAll(() => {
  proxy.stop();
  application.stop();
});

const auth = (token: string): [string, string] => ["Authorization", `Bearer ${token}`];
const cases: readonly (readonly [string, string, readonly [string, string][]])[] = [
  ["no token, open", "/open", [["x-user", "root"], ["x-payload", "forged"]]],
  ["no token", "/closed", []],
  ["the first rule's token", "/closed?a=1", [auth(first({ aud: "shop" }))]],
  ["the first rule's token in the query", `/closed?a=1&access_token=${first({ aud: "shop" })}&b`, [["x-user", "root"]]],
  ["the wrong audience", "/open", [auth(first({ aud: "bank" }))]],
  ["the second rule's token with scope", "/closed", [["X-B", other({ scope: "read write" })]]],
  ["the second rule's token in a cookie", "/closed", [["Cookie", `a=b; b=${other({ scope: "read" })}`]]],
  ["the second rule's token without scope", "/closed", [["x-b", other()]]],
  ["the second rule's token where the first looks", "/open", [auth(other())]],
  ["both", "/closed", [auth(first({ aud: "shop" })), ["x-b", other()]]],
  ["both, the first bad", "/closed", [auth("rubbish"), ["x-b", other({ scope: "read" })]]],
  ["twice", "/open", [auth(first({ aud: "shop" })), auth(first({ aud: "shop" }))]],
  ["forged", "/open", [auth(second.token({ iss: "https://a", exp, aud: "shop" }, { kid: "key-1" }))]],
  ["over", "/open", [auth(first({ aud: "shop", exp: 1 }))]],
  ["a preflight", "/open", [["Origin", "https://x"], ["Access-Control-Request-Method", "PUT"], auth("rubbish"), ["x-user", "root"]]],
];

/** Fields a token decides on. */
const TELLING = ["authorization", "cookie", "x-b", "x-user", "x-payload"];

test.each(cases)("%s", async (name, path, headers) => {
  const method = name === "a preflight" ? "OPTIONS" : "GET";
  const reached = application.requests.length;
  const lines = headers.map(([key, value]) => `${key}: ${value}`);
  const answer = await exchange(proxy.connectInbound(application.port), [`${method} ${path} HTTP/1.1`, "Host: app", "Connection: close", ...lines, "", ""].join("\r\n"));

  const request = parseExplainRequest({ direction: "inbound", to: `127.0.0.1:${application.port}`, method, url: path, headers: [["Host", "app"], ...headers] });
  await explainer.prepare(request);
  const explained = explainer.explain(request);
  const got = application.requests.at(-1);
  if (application.requests.length > reached) {
    expect(explained).toMatchObject({ verdict: "route", request: { path: got?.url } });
    const told = Object.fromEntries((explained.request?.headers ?? []).map(([key, value]) => [key.toLowerCase(), value]));
    for (const key of TELLING) expect([key, told[key]]).toEqual([key, got?.headers[key]]);
  } else {
    expect(explained).toMatchObject({ verdict: "deny", status: statusOf(answer), details: proxy.accessLog.at(-1)?.["response_code_details"] });
  }
});
