import { createHmac, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { systemClock } from "../../src/core/clock.ts";
import { type Resource, portOf, security, service, yamlOf } from "../integration/mesh-resources.ts";
import { exchange, ProxyUnderTest, statusOf } from "../integration/proxy-under-test.ts";
import { TestApplication } from "../integration/test-application.ts";
import { encode, TestIssuer } from "../unit/filter/jwt-fixtures.ts";

/* Hostile rows B17 and B18 and the tricks of CVEs with tokens, as bytes to a sidecar. B19: `test/unit/control/key-fetch.test.ts`. */

const ISSUER = "https://issuer.example";
const issuer = new TestIssuer();
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const rsaJwk = { ...rsa.publicKey.export({ format: "jwk" }), kid: "rsa-1" };
const now = (): number => Math.floor(systemClock.wallMs() / 1000);
const claims = (changes: Record<string, unknown> = {}): Record<string, unknown> => ({ iss: ISSUER, sub: "alice", exp: now() + 600, ...changes });

let application: TestApplication;
let proxy: ProxyUnderTest;
/** Where `jku` and `x5u` point to. */
let fetches = 0;
const bait = createServer((_request, response) => {
  fetches++;
  response.end(issuer.jwks);
});

beforeAll(async () => {
  await new Promise<void>((resolve) => {
    bait.listen(0, "127.0.0.1", resolve);
  });
  application = await TestApplication.start("app");
  const { port } = application;
  const resources: Resource[] = [
    ...service({ name: "app", targetPort: port, selector: { app: "test" }, endpoints: [{ port }] }),
    security("RequestAuthentication", "jwt", { jwtRules: [{ issuer: ISSUER, jwks: JSON.stringify({ keys: [issuer.jwk, rsaJwk] }), outputClaimToHeaders: [{ header: "x-user", claim: "sub" }] }] }),
    security("AuthorizationPolicy", "protected", { action: "DENY", rules: [{ from: [{ source: { notRequestPrincipals: ["*"] } }], to: [{ operation: { paths: ["/protected"] } }] }] }),
  ];
  proxy = await ProxyUnderTest.start({ yaml: yamlOf(resources) });
});

afterAll(() => {
  proxy.stop();
  application.stop();
  bait.close();
});

async function send(lines: readonly string[], path = "/"): Promise<string> {
  return exchange(proxy.connectInbound(application.port), [`GET ${path} HTTP/1.1`, "Host: app", "Connection: close", ...lines, "", ""].join("\r\n"));
}

const bearer = (token: string): string[] => [`Authorization: Bearer ${token}`];
const rsaToken = (header: Record<string, unknown>): string => {
  const signed = `${encode(JSON.stringify(header))}.${encode(JSON.stringify(claims()))}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), rsa.privateKey).toString("base64url")}`;
};
/** An HMAC with a public key as its secret, the way a library that asks the token for its algorithm would check it. */
const confused = (secret: string | Buffer, kid: string): string => {
  const signed = `${encode(JSON.stringify({ alg: "HS256", kid }))}.${encode(JSON.stringify(claims()))}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
};

test("good tokens pass, so that the refusals below mean something", async () => {
  expect(statusOf(await send(bearer(issuer.token(claims())), "/protected"))).toBe(200);
  expect(statusOf(await send(bearer(rsaToken({ alg: "RS256", kid: "rsa-1" })), "/protected"))).toBe(200);
  expect(application.requests.at(-1)?.headers["x-user"]).toBe("alice");
});

describe("B17: 401 each, and nothing is fetched", () => {
  const publicPem = rsa.publicKey.export({ type: "spki", format: "pem" }).toString();
  const baitUrl = (): string => `http://127.0.0.1:${portOf(bait)}/keys`;
  const nested = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const attacker = new TestIssuer("key-1");
  const cases: readonly (readonly [string, () => string[]])[] = [
    ["alg none, unsigned", () => bearer(`${encode('{"alg":"none"}')}.${encode(JSON.stringify(claims()))}.`)],
    ["alg none, with a signature", () => bearer(issuer.token(claims(), { alg: "none" }))],
    ["no signature", () => bearer(issuer.token(claims()).replace(/[^.]+$/, ""))],
    ["HS256 with the RSA public key in PEM", () => bearer(confused(publicPem, "rsa-1"))],
    ["HS256 with the RSA public key in DER", () => bearer(confused(createPublicKey(publicPem).export({ type: "spki", format: "der" }), "rsa-1"))],
    ["HS256 with the RSA modulus", () => bearer(confused(Buffer.from(String(rsaJwk.n), "base64url"), "rsa-1"))],
    ["HS256 with nothing", () => bearer(confused("", "key-1"))],
    ["an RSA signature called ES256", () => bearer(rsaToken({ alg: "ES256", kid: "rsa-1" }))],
    ["kid that is a path", () => bearer(confused("", "../../dev/null"))],
    ["kid that is SQL", () => bearer(attacker.token(claims(), { kid: "x' UNION SELECT 'key" }))],
    ["kid __proto__", () => bearer(attacker.token(claims(), { kid: "__proto__" }))],
    ["jku", () => bearer(attacker.token(claims(), { jku: baitUrl() }))],
    ["x5u", () => bearer(attacker.token(claims(), { x5u: baitUrl() }))],
    ["the attacker's own key in the header", () => bearer(attacker.token(claims(), { jwk: attacker.jwk }))],
    ["expired", () => bearer(issuer.token(claims({ exp: now() - 3600 })))],
    ["nbf in the future", () => bearer(issuer.token(claims({ nbf: now() + 3600 })))],
    ["exp beyond every number", () => bearer(issuer.sign('{"alg":"ES256"}', `{"iss":"${ISSUER}","exp":1e400}`))],
    ["exp that is text", () => bearer(issuer.token(claims({ exp: String(now() + 600) })))],
    ["a name twice in the claims", () => bearer(issuer.sign('{"alg":"ES256"}', `{"iss":"${ISSUER}","sub":"alice","sub":"root"}`))],
    ["a name twice in the header", () => bearer(issuer.sign('{"alg":"none","alg":"ES256"}', JSON.stringify(claims())))],
    ["nested a thousand deep", () => bearer(issuer.sign('{"alg":"ES256"}', `{"iss":"${ISSUER}","a":${nested(1000)}}`))],
    ["nested ten thousand deep in the header (CVE-2026-48042)", () => bearer(issuer.sign(`{"alg":"ES256","a":${nested(10_000)}}`, JSON.stringify(claims())))],
    ["two Authorization headers, both good", () => [...bearer(issuer.token(claims())), ...bearer(issuer.token(claims()))]],
    ["two Authorization headers, the first good", () => [...bearer(issuer.token(claims())), ...bearer("rubbish")]],
    ["JSON serialisation", () => bearer(JSON.stringify({ payload: encode(JSON.stringify(claims())), signatures: [] }))],
    ["an encrypted token", () => bearer("a.b.c.d.e")],
    ["only dots", () => bearer("..")],
    ["lower-case bearer", () => [`authorization: bearer ${attacker.token(claims())}`]],
  ];
  test.each(cases)("%s", async (_name, make) => {
    const reached = application.requests.length;
    const answer = await send(make(), "/protected");
    expect(statusOf(answer)).toBe(401);
    expect(answer.toLowerCase()).toContain("www-authenticate: bearer realm=");
    expect(application.requests).toHaveLength(reached);
    expect(fetches).toBe(0);
  });

  test("token in query and header", async () => {
    const token = issuer.token(claims());
    expect(statusOf(await send(bearer(token), `/?access_token=${token}`))).toBe(401);
    expect(statusOf(await send(bearer(token), "/?access_token=rubbish"))).toBe(401);
    expect(statusOf(await send(bearer(token), "/?access%5ftoken=rubbish"))).toBe(401);
  });

  test("1 MB is no head that anybody reads", async () => {
    expect(statusOf(await send(bearer("a".repeat(1024 * 1024))))).toBe(431);
  });

  test("an audience that is a list holds no number and no object", async () => {
    expect(statusOf(await send(bearer(issuer.token(claims({ aud: ["a", { toString: "b" }] })))))).toBe(401);
  });
});

test("B18, ISTIO-2021-001: a token of an unknown issuer is refused though no policy asks for one", async () => {
  expect(await send(bearer(issuer.token(claims({ iss: "https://evil.example" }))))).toMatch(/^HTTP\/1.1 401 [^]*Jwt issuer is not configured/);
  expect(statusOf(await send([]))).toBe(200);
});

test.each(["/protected?x", "/protected?", "/x/../protected", "/%70rotected", "//protected"])("CVE-2020-8595: %s does not get around the need for a token", async (path) => {
  expect(statusOf(await send([], path))).toBe(403);
});

test("a sender cannot write the headers that speak for a token, however they are spelled", async () => {
  expect(statusOf(await send(["x-user: root", "X-USER: root", "X-User: root"]))).toBe(200);
  expect(application.requests.at(-1)?.headers).not.toHaveProperty("x-user");
  await send(["x-user: root", ...bearer(issuer.token(claims()))]);
  expect(application.requests.at(-1)?.headers["x-user"]).toBe("alice");
});

test("a host that breaks out of the challenge's quotes does not", async () => {
  const answer = await exchange(proxy.connectInbound(application.port), 'GET /"x HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer x\r\nConnection: close\r\n\r\n');
  const challenge = /www-authenticate: (.*)\r/i.exec(answer)?.[1] ?? "Bearer realm=\"\"";
  expect(challenge).toMatch(/^Bearer realm="(?:[^"\\]|\\.)*"(?:, error="invalid_token")?$/);
});

test("a pipeline of forged tokens, each another, is refused one by one, and good ones stay good", async () => {
  const good = bearer(issuer.token(claims()));
  expect(statusOf(await send(good))).toBe(200);
  const socket = proxy.connectInbound(application.port);
  const forged = issuer.token(claims()).replace(/\.[^.]+\./, ".");
  let requests = "";
  for (let index = 0; index < 300; index++) requests += `GET / HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer ${forged}${index}\r\n\r\n`;
  const answers = await exchange(socket, `${requests}GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`);
  expect(answers.match(/HTTP\/1.1 401/g)).toHaveLength(300);
  expect(statusOf(await send(good))).toBe(200);
});
