import { beforeAll, describe, expect, test } from "vitest";

import type { JwtRuleSpec } from "../../../src/config/snapshot-jwt.ts";
import { loadJose } from "../../../src/filter/jose.ts";
import { authnOf, bearing, encode, hmacToken, ISSUER, NOW, request, rule, said, TestIssuer } from "./jwt-fixtures.ts";

const issuer = new TestIssuer();
const other = new TestIssuer();
const authn = (...changes: Partial<JwtRuleSpec>[]) => authnOf((changes.length === 0 ? [{}] : changes).map((change) => rule(issuer.keys, change)));
const ALICE = `${ISSUER}/alice`;

beforeAll(loadJose);

describe("a token is believed", () => {
  test("that a key of its issuer signed", async () => {
    expect(await said(authn(), bearing(issuer.token()))).toBe(ALICE);
  });

  test("without a kid, or by a key without one", async () => {
    expect(await said(authn(), bearing(issuer.token({}, { kid: undefined })))).toBe(ALICE);
    const nameless = new TestIssuer(null);
    expect(await said(authnOf([rule(nameless.keys)]), bearing(nameless.token({}, { kid: "whatever" })))).toBe(ALICE);
  });

  test("until a minute after its end, and from a minute before its begin", async () => {
    expect(await said(authn(), bearing(issuer.token({ exp: NOW - 60, nbf: NOW + 60 })))).toBe(ALICE);
  });

  test("without any end, subject or audience, and then has no principal", async () => {
    expect(await said(authn(), bearing(issuer.token({ exp: undefined, sub: undefined })))).toBe("null");
  });

  test("for one of several audiences", async () => {
    const aud = ["a", "b"];
    expect(await said(authn({ audiences: ["b", "c"] }), bearing(issuer.token({ aud })))).toBe(ALICE);
    expect(await said(authn({ audiences: ["b"] }), bearing(issuer.token({ aud: "b" })))).toBe(ALICE);
  });

  test("by any of several keys", async () => {
    const keys = [...new TestIssuer(null).keys, ...new TestIssuer(null).keys, ...issuer.keys];
    expect(await said(authnOf([rule(keys)]), bearing(issuer.token()))).toBe(ALICE);
  });

  test("under a shared secret that is as long as the hash", async () => {
    const secret = Buffer.alloc(32, 7);
    const key = { kty: "oct", k: secret.toString("base64url") };
    const token = hmacToken(secret, { iss: ISSUER, sub: "alice" });
    expect(await said(authnOf([rule([key])]), bearing(token))).toBe(ALICE);
    const short = { kty: "oct", k: secret.subarray(0, 31).toString("base64url") };
    expect(await said(authnOf([rule([short])]), bearing(hmacToken(secret.subarray(0, 31), { iss: ISSUER })))).toContain("doesn't have key");
  });
});

describe("a token is refused", () => {
  const cases: readonly (readonly [string, () => string, string])[] = [
    ["of another signer", () => other.token(), "401 Jwt verification fails"],
    ["whose claims were changed", () => issuer.token().replace(/\.[^.]+\./, `.${encode(JSON.stringify({ iss: ISSUER, sub: "eve" }))}.`), "401 Jwt verification fails"],
    ["that is over", () => issuer.token({ exp: NOW - 61 }), "401 Jwt is expired"],
    ["that has not begun", () => issuer.token({ nbf: NOW + 61 }), "401 Jwt not yet valid"],
    ["of an unknown issuer", () => issuer.token({ iss: "https://other.example" }), "401 Jwt issuer is not configured"],
    ["without an issuer", () => issuer.token({ iss: undefined }), "401 Jwt issuer is not configured"],
    ["with a kid that nobody knows", () => issuer.token({}, { kid: "../../dev/null" }), "401 Jwks doesn't have key to match kid or alg from Jwt"],
    ["without signature", () => `${encode('{"alg":"none"}')}.${encode(JSON.stringify({ iss: ISSUER, sub: "alice" }))}.`, "401 Jwt signature is an invalid Base64url encoded"],
    ["of an algorithm for other keys", () => issuer.token({}, { alg: "RS256" }), "401 Jwks doesn't have key to match kid or alg from Jwt"],
    ["that a public key made as if it were a secret", () => hmacToken(JSON.stringify(issuer.jwk), { iss: ISSUER }, { kid: "key-1" }), "401 Jwks doesn't have key to match kid or alg from Jwt"],
    ["of algorithm none", () => issuer.token({}, { alg: "none" }), "401 Jwt header [alg] is not supported"],
    ["of algorithm NONE", () => issuer.token({}, { alg: "NonE" }), "401 Jwt header [alg] is not supported"],
    ["with a critical extension", () => issuer.token({}, { crit: ["b64"], b64: false }), "401 Jwt header [crit] is not supported"],
    ["with a kid that is no text", () => issuer.token({}, { kid: 7 }), "401 Jwt header [kid] field is not a string"],
    ["without alg", () => issuer.token({}, { alg: undefined }), "401 Jwt header [alg] field is required and must be a string"],
    ["whose exp is a text", () => issuer.token({ exp: "never" }), "401 Jwt payload [exp] field is not an integer"],
    ["whose sub is a list", () => issuer.token({ sub: ["alice"] }), "401 Jwt payload [sub] field is not a string"],
    ["whose aud holds a number", () => issuer.token({ aud: ["a", 1] }), "401 Jwt payload [aud] field is not a string or string list"],
    ["of two sections", () => "a.b", "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"],
    ["of four sections", () => `${issuer.token()}.x`, "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"],
    ["that is no token", () => "opaque", "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"],
    ["with padding", () => `${issuer.token()}==`, "401 Jwt signature is an invalid Base64url encoded"],
    ["whose payload is no object", () => issuer.sign('{"alg":"ES256"}', '["iss"]'), "401 Jwt payload is an invalid JSON"],
    ["whose payload is no UTF-8", () => `${encode('{"alg":"ES256"}')}.${Buffer.from([0x7b, 0xff, 0x7d]).toString("base64url")}.AAAA`, "401 Jwt payload is an invalid JSON"],
    ["with a claim twice", () => issuer.sign('{"alg":"ES256"}', `{"iss":"${ISSUER}","sub":"alice","sub":"admin"}`), "401 Jwt payload is an invalid JSON"],
    ["with a claim twice, once escaped", () => issuer.sign('{"alg":"ES256"}', `{"iss":"${ISSUER}","sub":"alice","s\\u0075b":"admin"}`), "401 Jwt payload is an invalid JSON"],
  ];
  test.each(cases)("%s", async (_name, make, expected) => {
    const one = authn();
    const head = bearing(make());
    expect(await said(one, head)).toBe(expected);
    // And again, from what was kept of it.
    expect(await said(one, head)).toBe(expected);
  });

  test("meant for somebody else, with 403", async () => {
    expect(await said(authn({ audiences: ["me"] }), bearing(issuer.token({ aud: "you" })))).toBe("403 Audiences in Jwt are not allowed");
    expect(await said(authn({ audiences: ["me"] }), bearing(issuer.token()))).toBe("403 Audiences in Jwt are not allowed");
  });

  test("given twice, even the same one", async () => {
    const token = issuer.token();
    const twice = [["authorization", `Bearer ${token}`], ["authorization", `Bearer ${token}`]] as const;
    expect(await said(authn(), request(twice))).toBe("401 Jwt is given more than once");
    expect(await said(authn(), request([twice[0]], `/?access_token=${token}`))).toBe("401 Jwt is given more than once");
    expect(await said(authn(), request([["authorization", `Bearer ${token}, Bearer ${token}`]]))).toContain("401");
  });

  test("in whatever way its place is written", async () => {
    for (const value of ["bearer x", "BEARER x", "Bearer  x"]) expect(await said(authn(), request([["authorization", value]]))).toContain("not in the form");
    for (const path of ["/?access%5Ftoken=x", "/?a=b&access_token=x", "/?access_token=%78"]) expect(await said(authn(), request([], path))).toContain("not in the form");
  });
});

describe("a request without token", () => {
  test("passes, with other credentials too", async () => {
    expect(await said(authn(), request())).toBe("missing");
    expect(await said(authn(), request([["authorization", "Basic YTpi"]], "/?access_token="))).toBe("missing");
  });

  test("is refused where one is required", async () => {
    expect(await said(authn({ isRequired: true }), request())).toBe("401 Jwt is missing");
  });
});

describe("several rules", () => {
  const second = "https://second.example";
  const both = authnOf([rule(issuer.keys), rule(other.keys, { issuer: second })]);

  test("each believes its issuer's tokens, wherever it stands", async () => {
    expect(await said(both, bearing(issuer.token()))).toBe(ALICE);
    expect(await said(both, bearing(other.token({ iss: second })))).toBe(`${second}/alice`);
  });

  test("no issuer's key makes another's tokens", async () => {
    expect(await said(both, bearing(issuer.token({ iss: second })))).toBe("401 Jwt verification fails");
    expect(await said(both, bearing(other.token()))).toBe("401 Jwt verification fails");
  });

  test("what is wrong with the token is told rather than whose it is not", async () => {
    expect(await said(both, bearing(other.token({ iss: second, exp: 1 })))).toBe("401 Jwt is expired");
    expect(await said(both, bearing(issuer.token({ iss: "x" })))).toBe("401 Jwt issuer is not configured");
  });

  test("no issuer's subject reads as another issuer's", async () => {
    const inner = `${ISSUER}/tenant`;
    const nested = authnOf([rule(issuer.keys), rule(other.keys, { issuer: inner })]);
    expect(await said(nested, bearing(issuer.token({ sub: "tenant/admin" })))).toBe("401 Jwt issuer is not configured");
    expect(await said(nested, bearing(issuer.token({ sub: "tenants/admin" })))).toBe(`${ISSUER}/tenants/admin`);
    expect(await said(nested, bearing(other.token({ iss: inner, sub: "a/b" })))).toBe(`${inner}/a/b`);
    const anyIssuer = authnOf([rule(issuer.keys), rule(other.keys, { issuer: "" })]);
    expect(await said(anyIssuer, bearing(other.token({ iss: "elsewhere" })))).toBe("elsewhere/alice");
    expect(await said(anyIssuer, bearing(other.token()))).toContain("401");
    expect(await said(anyIssuer, bearing(other.token({ iss: "https:", sub: "/issuer.example/alice" })))).toContain("401");
  });

  test("the first that believes decides", async () => {
    const apart = authnOf([rule(issuer.keys), rule(other.keys, { issuer: second, locations: [{ kind: "header", name: "x-second", prefix: "" }] })]);
    const token = other.token({ iss: second });
    expect(await said(apart, request([["x-second", token]]))).toBe(`${second}/alice`);
    expect(await said(apart, request([["x-second", token], ["authorization", `Bearer ${issuer.token()}`]]))).toBe(ALICE);
    expect(await said(apart, request([["x-second", `Bearer ${token}`]]))).toContain("401");
  });
});

describe("places", () => {
  const at = (location: JwtRuleSpec["locations"][number]) => authn({ locations: [location] });

  test("a header with a prefix of its own", async () => {
    const one = at({ kind: "header", name: "x-jwt", prefix: "token=" });
    expect(await said(one, request([["X-Jwt", `token=${issuer.token()}`]]))).toBe(ALICE);
    expect(await said(one, request([["X-Jwt", issuer.token()]]))).toBe("missing");
    expect(await said(one, bearing("rubbish"))).toBe("missing");
  });

  test("a cookie among others, in quotes or not", async () => {
    const one = at({ kind: "cookie", name: "session" });
    expect(await said(one, request([["cookie", `a=b; session=${issuer.token()}; c=d`]]))).toBe(ALICE);
    expect(await said(one, request([["cookie", "a=b"], ["cookie", `session="${issuer.token()}"`]]))).toBe(ALICE);
    expect(await said(one, request([["cookie", "a=session; b=c"]]))).toBe("missing");
  });

  test("a parameter of the query", async () => {
    const one = at({ kind: "param", name: "jwt" });
    expect(await said(one, request([], `/a?x=1&jwt=${issuer.token()}`))).toBe(ALICE);
    expect(await said(one, request([], "/jwt=1?xjwt=2"))).toBe("missing");
  });
});

describe("what was verified is kept", () => {
  test("and needs no promise the next time, until it is over", async () => {
    const clock = { wallMs: () => NOW * 1000, monotonicMs: () => 0 };
    const one = authnOf([rule(issuer.keys)], { clock });
    const head = bearing(issuer.token({ exp: NOW + 100 }));
    expect(one.authenticate(head)).toBeInstanceOf(Promise);
    await one.authenticate(head);
    expect(one.authenticate(head)).not.toBeInstanceOf(Promise);
    clock.wallMs = () => (NOW + 161) * 1000;
    expect(await said(one, head)).toBe("401 Jwt is expired");
  });

  test("many requests with a new token verify it once", async () => {
    const one = authn();
    const head = bearing(issuer.token());
    const results = await Promise.all(Array.from({ length: 20 }, async () => one.authenticate(head)));
    // One by one they would all have been other objects.
    expect(new Set(results.map((result) => result !== null && "token" in result && result.token)).size).toBe(1);
  });
});

describe("keys that are fetched", () => {
  const keys = { kind: "remote", source: { name: "jwks:u", kind: "jwks", url: "https://issuer.example/jwks", timeoutMs: 5000 } } as const;

  test("refuse everything until they are there", async () => {
    const asked: string[] = [];
    const parts = { keysMissing: (source: string) => asked.push(source) };
    expect(await said(authnOf([rule([], { keys })], parts), bearing(issuer.token()))).toBe("401 Jwks remote fetch is failed");
    expect(asked).toEqual(["jwks:u"]);
    expect(await said(authnOf([rule([], { keys })], {}, new Map([["jwks:u", issuer.keys]])), bearing(issuer.token()))).toBe(ALICE);
  });

  test("are asked for anew when a token names a key they have not, once a second at most", async () => {
    const asked: string[] = [];
    let now = 0;
    const parts = { keysMissing: (source: string) => asked.push(source), clock: { wallMs: () => NOW * 1000, monotonicMs: () => now } };
    const one = authnOf([rule([], { keys })], parts, new Map([["jwks:u", issuer.keys]]));
    for (let index = 0; index < 5; index++) expect(await said(one, bearing(issuer.token({}, { kid: `new-${index}` })))).toContain("doesn't have key");
    expect(asked).toEqual(["jwks:u"]);
    now = 1000;
    await said(one, bearing(issuer.token({}, { kid: "newer" })));
    expect(asked).toEqual(["jwks:u", "jwks:u"]);
  });
});

test("claims that are lists in one text are lists to policies", async () => {
  const result = await authn({ spaceDelimitedClaims: ["scope", "roles"] }).authenticate(bearing(issuer.token({ scope: "read  write", roles: "a", other: "c d" })));
  expect(result !== null && "token" in result && result.token.claims).toMatchObject({ scope: ["read", "write"], roles: ["a"], other: "c d" });
});
