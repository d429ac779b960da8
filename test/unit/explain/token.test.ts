import { describe, expect, test } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { Explainer } from "../../../src/explain/explainer.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { type Resource, security, service } from "../../integration/mesh-resources.ts";
import { TestIssuer } from "../filter/jwt-fixtures.ts";
import { meshOf } from "./explainer-of.ts";

const issuer = new TestIssuer();
const ISSUER = "https://issuer.example";
const soon = (): number => Math.floor(systemClock.wallMs() / 1000) + 600;
const rule = { issuer: ISSUER, jwks: issuer.jwks, outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }] };
const tokens = (...jwtRules: Resource[]): Resource => security("RequestAuthentication", "jwt", { jwtRules });
const onlyAdmins = security("AuthorizationPolicy", "admins", { rules: [{ when: [{ key: "request.auth.claims[roles]", values: ["admin"] }] }] });
const own = service({ name: "reviews", endpoints: [{ port: 9080 }] });

function ask(resources: readonly Resource[], request: object): Promise<Explanation> {
  const { snapshot } = meshOf([...own, ...resources], { labels: { app: "reviews" } });
  return explained(new Explainer(snapshot), request);
}

async function explained(explainer: Explainer, request: object): Promise<Explanation> {
  const parsed = parseExplainRequest({ direction: "inbound", url: "http://reviews:9080/", ...request });
  await explainer.prepare(parsed);
  return explainer.explain(parsed);
}

const bearing = (token: string): object => ({ headers: [["Authorization", `Bearer ${token}`]] });
const gate = ({ filters }: Explanation) => filters.find(({ name }) => name === "jwt-authn");

describe("a token in the request", () => {
  test("is verified with inline keys, stays behind, and its claims decide", async () => {
    const answer = await ask([tokens(rule), onlyAdmins], bearing(issuer.token({ exp: soon(), roles: ["admin"] })));
    expect(answer).toMatchObject({ verdict: "route" });
    expect(gate(answer)).toMatchObject({ verdict: "pass", resource: "RequestAuthentication default/jwt", rule: 0, reason: `the token is ${ISSUER}/alice's` });
    const names = answer.request?.headers.map(([name]) => name.toLowerCase());
    expect(names).toContain("x-sub");
    expect(names).not.toContain("authorization");
    expect(await ask([tokens(rule), onlyAdmins], bearing(issuer.token({ exp: soon() })))).toMatchObject({ verdict: "deny", status: 403 });
  });

  test("that is no good is refused, with why", async () => {
    const answer = await ask([tokens(rule)], bearing(new TestIssuer().token({ exp: soon() })));
    expect(answer).toMatchObject({ verdict: "deny", status: 401, details: "jwt_authn_access_denied{Jwt_verification_fails}" });
    expect(gate(answer)).toMatchObject({ verdict: "deny", reason: "Jwt verification fails" });
    expect(await ask([tokens(rule)], bearing(issuer.token({ exp: 1 })))).toMatchObject({ status: 401, details: "jwt_authn_access_denied{Jwt_is_expired}" });
  });

  test("whose keys the proxy would have fetched is left undecided", async () => {
    const answer = await ask([tokens({ issuer: ISSUER, jwksUri: "https://issuer.example/keys" })], bearing(issuer.token({ exp: soon() })));
    expect(gate(answer)).toMatchObject({
      verdict: "skipped", resource: "RequestAuthentication default/jwt", rule: 0,
      reason: "the token was not verified: only a running proxy has the keys of https://issuer.example/keys; what follows is for a request without a token, so say what the token stands for by its claims (jwt)",
    });
    // What a proxy refuses without any key is refused here too, and claims are of use all the same.
    expect(await ask([tokens({ issuer: ISSUER, jwksUri: "https://issuer.example/keys" })], bearing(issuer.token({ exp: 1 })))).toMatchObject({ status: 401, details: "jwt_authn_access_denied{Jwt_is_expired}" });
    expect(await ask([tokens({ issuer: ISSUER }), onlyAdmins], { jwt: { iss: ISSUER, roles: ["admin"] } })).toMatchObject({ verdict: "route" });
    expect(gate(await ask([tokens({ issuer: ISSUER })], bearing(issuer.token({ exp: soon() }))))?.reason).toContain("discovery at https://issuer.example/.well-known/openid-configuration");
  });
});

test("a token that is required and missing is what is missed", async () => {
  const answer = await ask([tokens({ ...rule, presence: "REQUIRED" })], {});
  expect(answer).toMatchObject({ verdict: "deny", status: 401, details: "jwt_authn_access_denied{Jwt_is_missing}" });
  expect(gate(answer)).toMatchObject({ reason: "Jwt is missing", nearMiss: { rule: 0, failed: [{ condition: "jwt", got: null }] } });
});

describe("claims that are given", () => {
  test("are taken as verified, by the rule of their issuer", async () => {
    const answer = await ask([tokens(rule), onlyAdmins], { jwt: { iss: ISSUER, sub: "bob", roles: ["admin"] }, headers: [["x-sub", "forged"]] });
    expect(answer).toMatchObject({ verdict: "route" });
    expect(gate(answer)).toMatchObject({ verdict: "pass", rule: 0, reason: `the claims given are taken as verified: the token is ${ISSUER}/bob's` });
    expect(answer.request?.headers).toContainEqual(["x-sub", "bob"]);
  });

  test("of nobody's rule are believed too, and lists in one text are lists", async () => {
    const scoped = security("AuthorizationPolicy", "scoped", { rules: [{ when: [{ key: "request.auth.claims[scope]", values: ["write"] }] }] });
    expect(await ask([scoped], { jwt: { scope: "read write" } })).toMatchObject({ verdict: "route" });
    expect(await ask([scoped], {})).toMatchObject({ verdict: "deny" });
  });
});

test("without rules for tokens there is no gate to speak of", async () => {
  expect(gate(await ask([], bearing("rubbish")))).toBeUndefined();
  expect(gate(await ask([tokens(rule)], {}))).toMatchObject({ verdict: "pass", reason: "there is no token, and none is required" });
});
