import type { IncomingMessage } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { TestIssuer } from "../unit/filter/jwt-fixtures.ts";
import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { TestApplication } from "./test-application.ts";

/* RequestAuthentication between two sidecars with mesh mTLS, over real sockets; the callee's verifies. */

const issuer = new TestIssuer();
const stranger = new TestIssuer();
const soon = (): number => Math.floor(systemClock.wallMs() / 1000) + 3600;
const tokenOf = (claims: Record<string, unknown> = {}): string => issuer.token({ exp: soon(), ...claims });
const bearer = (token: string): HttpQuestion => ({ headers: { authorization: `Bearer ${token}` } });

const rule = { issuer: "https://issuer.example", jwks: issuer.jwks };
const requestAuthentication = (...jwtRules: Resource[]): Resource => security("RequestAuthentication", "jwt", { jwtRules });

let application: TestApplication;
let pair: ProxyPair;

beforeAll(async () => {
  application = await TestApplication.start("reviews");
});

afterAll(() => {
  pair.stop();
  application.stop();
});

/** The pair obeys these resources from now on. */
async function obey(...resources: Resource[]): Promise<void> {
  pair?.stop();
  pair = await ProxyPair.start({ port: application.port, resources: [STRICT, ...resources] });
}

const call = (question: HttpQuestion = {}): Promise<HttpAnswer> => ask(pair.connect(), question);
/** The request as the application got it. */
const received = (): IncomingMessage => application.requests.at(-1) as IncomingMessage;
const reachedBy = async (question: HttpQuestion): Promise<IncomingMessage> => {
  const before = application.requests.length;
  expect(await call(question)).toMatchObject({ status: 200, body: "reviews" });
  expect(application.requests).toHaveLength(before + 1);
  return received();
};

describe("a rule with output", () => {
  beforeAll(() => obey(requestAuthentication({
    ...rule, audiences: ["shop"], outputPayloadToHeader: "x-payload",
    outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }, { header: "x-group", claim: "org.group" }, { header: "x-absent", claim: "absent" }, { header: "x-bad", claim: "bad" }],
  })));

  test("a good token stays behind, and its claims go on", async () => {
    const token = tokenOf({ aud: "shop", org: { group: "Grüße" }, bad: "a\r\nx-injected: 1" });
    const { headers } = await reachedBy({ headers: { authorization: `Bearer ${token}`, "x-sub": "admin", "x-absent": "yes", "X-Payload": "forged" } });
    expect(headers).toMatchObject({ "x-sub": "alice", "x-payload": token.split(".")[1], "x-group": Buffer.from("Grüße").toString("latin1") });
    for (const name of ["authorization", "x-absent", "x-bad", "x-injected"]) expect(headers).not.toHaveProperty(name);
  });

  test("without a token nothing speaks for one", async () => {
    const { headers } = await reachedBy({ headers: { "x-sub": "admin", "X-PAYLOAD": "forged", authorization: "Basic YTpi" } });
    expect(headers).not.toHaveProperty("x-sub");
    expect(headers).not.toHaveProperty("x-payload");
    expect(headers.authorization).toBe("Basic YTpi");
  });

  test("a preflight needs no token, and brings no claims", async () => {
    const { headers } = await reachedBy({ method: "OPTIONS", headers: { origin: "https://a.test", "access-control-request-method": "PUT", authorization: "Bearer rubbish", "x-sub": "admin" } });
    expect(headers).not.toHaveProperty("x-sub");
  });

  test("a token in the query is taken out of it, and out of the log", async () => {
    const token = tokenOf({ aud: ["shop", "other"] });
    expect((await reachedBy({ path: `/a?x=%31&access_token=${token}&y` })).url).toBe("/a?x=%31&y");
    expect((await reachedBy({ path: `/a?access_token=${token}` })).url).toBe("/a");
    expect(JSON.stringify(pair.callee.accessLog)).not.toContain(token);
  });

  test.each([
    ["forged", () => stranger.token({ exp: soon(), aud: "shop" }), 401, "Jwt verification fails"],
    ["over", () => issuer.token({ exp: 1, aud: "shop" }), 401, "Jwt is expired"],
    ["of somebody else", () => tokenOf({ iss: "https://other.example" }), 401, "Jwt issuer is not configured"],
    ["for somebody else", () => tokenOf({ aud: "bank" }), 403, "Audiences in Jwt are not allowed"],
  ])("a token that is %s is refused as Istio does it", async (_name, make, status, text) => {
    const before = application.requests.length;
    const answer = await call({ ...bearer(make()), path: "/reviews/1?a=b" });
    expect(answer).toMatchObject({ status, body: text });
    expect(answer.headers["content-type"]).toBe("text/plain");
    expect(answer.headers["www-authenticate"]).toBe(status === 401 ? 'Bearer realm="http://reviews/reviews/1", error="invalid_token"' : undefined);
    expect(application.requests).toHaveLength(before);
    expect(pair.callee.accessLog.at(-1)).toMatchObject({ response_code: status, response_code_details: `jwt_authn_access_denied{${text.replaceAll(" ", "_")}}`, path: "/reviews/1?a=b" });
  });

  test("a gRPC call is refused as gRPC", async () => {
    const answer = await call({ method: "POST", path: "/shop.Cart/Add", headers: { authorization: "Bearer rubbish", "content-type": "application/grpc" } });
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({ "grpc-status": "16", "grpc-message": expect.stringContaining("Jwt is not in the form") as string });
  });

  test("a body that comes while the token is verified is all there afterwards", async () => {
    const body = Buffer.alloc(300_000, "x");
    const request = await reachedBy({ method: "POST", ...bearer(tokenOf({ aud: "shop", jti: "fresh" })), body });
    expect(request.headers["content-length"]).toBe(String(body.length));
    expect(pair.callee.accessLog.at(-1)).toMatchObject({ bytes_received: body.length });
  });

  test("what became of tokens is counted", async () => {
    const metrics = await pair.callee.metrics();
    for (const outcome of ["verified", "missing", "denied", "preflight"]) expect(metrics).toMatch(new RegExp(`outrider_jwt_requests_total\\{outcome="${outcome}"\\} [1-9]`));
  });
});

test("a token goes on where it is to, from a cookie or a header of its own", async () => {
  await obey(requestAuthentication({ ...rule, fromHeaders: [{ name: "x-jwt" }], forwardOriginalToken: true }));
  const token = tokenOf();
  expect((await reachedBy({ headers: { "x-jwt": token } })).headers["x-jwt"]).toBe(token);
  expect((await reachedBy(bearer("whatever"))).headers.authorization).toBe("Bearer whatever");
  await obey(requestAuthentication({ ...rule, fromCookies: ["session"] }));
  expect((await reachedBy({ headers: { cookie: `a=b; session=${token}; c=d` } })).headers.cookie).toBe("a=b; c=d");
  expect((await reachedBy({ headers: { cookie: `session=${token}` } })).headers).not.toHaveProperty("cookie");
});

describe("with policies", () => {
  const allow = (rules: readonly Resource[]): Resource => security("AuthorizationPolicy", "allow", { rules });
  const statusOf = async (question: HttpQuestion): Promise<number> => (await call(question)).status;

  test("one that asks for a request principal requires a token", async () => {
    await obey(requestAuthentication(rule), allow([{ from: [{ source: { requestPrincipals: ["https://issuer.example/*"] } }] }]));
    expect(await statusOf(bearer(tokenOf()))).toBe(200);
    expect(await call()).toMatchObject({ status: 403, body: "RBAC: access denied" });
    expect(await statusOf(bearer("rubbish"))).toBe(401);
  });

  test("claims decide: texts, lists, lists in one text, and claims in claims", async () => {
    await obey(requestAuthentication(rule), allow([
      { when: [{ key: "request.auth.claims[role]", values: ["admin"] }] },
      { when: [{ key: "request.auth.claims[groups]", values: ["ops"] }] },
      { when: [{ key: "request.auth.claims[scope]", values: ["write"] }] },
      { when: [{ key: "request.auth.claims[realm][access]", values: ["full"] }] },
      { when: [{ key: "request.auth.audiences", values: ["bank"] }, { key: "request.auth.presenter", values: ["app-1"] }] },
    ]));
    expect(await statusOf(bearer(tokenOf({ role: "admin" })))).toBe(200);
    expect(await statusOf(bearer(tokenOf({ groups: ["dev", "ops"] })))).toBe(200);
    expect(await statusOf(bearer(tokenOf({ scope: "read write" })))).toBe(200);
    expect(await statusOf(bearer(tokenOf({ realm: { access: "full" } })))).toBe(200);
    expect(await statusOf(bearer(tokenOf({ aud: ["x", "bank"], azp: "app-1" })))).toBe(200);
    for (const claims of [{}, { role: "user" }, { groups: "opsx" }, { scope: "rewrite" }, { realm: "full" }, { aud: "bank" }]) {
      expect([claims, await statusOf(bearer(tokenOf(claims)))]).toEqual([claims, 403]);
    }
  });

  test("rules and keys change while running: what was verified before is not believed any more", async () => {
    await obey(requestAuthentication(rule));
    const token = tokenOf();
    expect(await statusOf(bearer(token))).toBe(200);
    const { port } = application;
    const own = service({ name: "reviews", targetPort: port, endpoints: [{ port, isMesh: true }] });
    await pair.callee.apply(yamlOf(own, [STRICT, requestAuthentication({ ...rule, jwks: stranger.jwks })]));
    expect(await statusOf(bearer(token))).toBe(401);
    await pair.callee.apply(yamlOf(own, [STRICT]));
    expect((await reachedBy(bearer(token))).headers.authorization).toBe(`Bearer ${token}`);
  });
});
