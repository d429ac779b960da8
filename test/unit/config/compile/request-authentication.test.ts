import { describe, expect, test } from "vitest";

import { compileYaml } from "./compile-yaml.ts";

const KEY = { kty: "EC", crv: "P-256", x: "eA", y: "eQ", kid: "k" };

function resource(spec: unknown, metadata: Record<string, unknown> = {}): string {
  const body = { apiVersion: "security.istio.io/v1", kind: "RequestAuthentication", metadata: { name: "jwt", namespace: "default", ...metadata }, spec };
  return JSON.stringify(body);
}

const rulesOf = (...texts: string[]) => compileYaml(texts.join("\n---\n")).snapshot.inbound.jwtRules ?? [];
const inline = { issuer: "https://i", jwks: JSON.stringify({ keys: [KEY] }) };

describe("a rule", () => {
  test("that says little gets Istio's defaults", () => {
    expect(rulesOf(resource({ jwtRules: [inline] }))).toEqual([{
      issuer: "https://i", audiences: [], keys: { kind: "inline", keys: [KEY] }, forwardsToken: false, payloadHeader: null, claimHeaders: [], isRequired: false,
      locations: [{ kind: "header", name: "authorization", prefix: "Bearer " }, { kind: "param", name: "access_token" }],
      spaceDelimitedClaims: ["scope", "permission"],
      provenance: { resource: "RequestAuthentication default/jwt", rule: 0, file: expect.any(String) as string, line: 1 },
    }]);
  });

  test("that says everything is obeyed", () => {
    const [rule] = rulesOf(resource({ jwtRules: [{
      ...inline, audiences: ["a"], fromHeaders: [{ name: "X-Jwt", prefix: "JWT " }], fromParams: ["Token"], fromCookies: ["session"], forwardOriginalToken: true,
      outputPayloadToHeader: "X-Payload", outputClaimToHeaders: [{ header: "X-Sub", claim: "sub" }], spaceDelimitedClaims: ["roles", "scope"], presence: "REQUIRED",
    }] }));
    expect(rule).toMatchObject({
      audiences: ["a"], forwardsToken: true, payloadHeader: "x-payload", claimHeaders: [{ header: "x-sub", claim: "sub" }], isRequired: true,
      locations: [{ kind: "header", name: "x-jwt", prefix: "JWT " }, { kind: "param", name: "Token" }, { kind: "cookie", name: "session" }],
      spaceDelimitedClaims: ["scope", "permission", "roles"],
    });
  });

  test("has its keys fetched by URI or by discovery", () => {
    expect(rulesOf(resource({ jwtRules: [{ issuer: "x", jwksUri: "https://i/keys", timeout: "2s" }, { issuer: "https://i/tenant/" }] })).map(({ keys }) => keys)).toEqual([
      { kind: "remote", source: { name: "jwks:https://i/keys", kind: "jwks", url: "https://i/keys", timeoutMs: 2000 } },
      { kind: "remote", source: { name: "discovery:https://i/tenant/.well-known/openid-configuration", kind: "discovery", url: "https://i/tenant/.well-known/openid-configuration", timeoutMs: 5000 } },
    ]);
  });

  test("without keys to be had stays, and says so", () => {
    const { snapshot, problems } = compileYaml(resource({ jwtRules: [{ issuer: "no-url" }, { issuer: "i", jwks: '{"keys":[]}' }] }));
    expect(snapshot.inbound.jwtRules?.map(({ keys }) => keys)).toEqual([{ kind: "inline", keys: [] }, { kind: "inline", keys: [] }]);
    expect(problems.map((problem) => /^error: RequestAuthentication default\/jwt: ([^:]*): .* every token for this rule is refused$/.exec(problem)?.[1])).toEqual(["spec.jwtRules[0].issuer", "spec.jwtRules[1].jwks"]);
  });

  // Symptom: a short secret or an RSA key of 1024 bits refused every token, and `check` said nothing; a rule whose issuer was
  // forgotten believed those of any. Fix: both are warnings where they are written.
  test("with keys too weak to be used, or without an issuer, says so", () => {
    const rsa = (bits: number): object => ({ kty: "RSA", n: Buffer.alloc(bits / 8, 0xff).toString("base64url"), e: "AQAB" });
    const secret = (bytes: number): object => ({ kty: "oct", k: Buffer.alloc(bytes).toString("base64url") });
    const problemsOf = (keys: readonly object[], issuer = "i") => compileYaml(resource({ jwtRules: [{ issuer, jwks: JSON.stringify({ keys }) }] })).problems;
    expect(problemsOf([rsa(2048), secret(32), KEY])).toEqual([]);
    expect(problemsOf([KEY, rsa(1024), secret(31)])).toEqual([
      "warning: RequestAuthentication default/jwt: spec.jwtRules[0].jwks: key 2 that verifies signatures is not used: an RSA key has 2048 bits or more",
      "warning: RequestAuthentication default/jwt: spec.jwtRules[0].jwks: key 3 that verifies signatures is not used: a secret has 32 bytes or more, as long as the hash it is for",
    ]);
    expect(problemsOf([KEY], "")).toEqual([expect.stringMatching(/^warning: RequestAuthentication default\/jwt: spec\.jwtRules\[0\]\.issuer: is not set: a token of any issuer is believed/)]);
  });

  test("leaves private halves of keys behind", () => {
    const jwks = JSON.stringify({ keys: [{ ...KEY, d: "secret", use: "sig" }] });
    expect(JSON.stringify(rulesOf(resource({ jwtRules: [{ issuer: "i", jwks }] })))).not.toContain("secret");
  });

  test.each(["Content-Length", "transfer-encoding", "Host", "bad name", "Authorization"])("writes no header %s", (header) => {
    const { snapshot, problems } = compileYaml(resource({ jwtRules: [{ ...inline, outputPayloadToHeader: header }] }));
    expect(snapshot.inbound.jwtRules?.[0]?.payloadHeader).toBeNull();
    expect(problems).toHaveLength(1);
  });
});

describe("the rules of a workload", () => {
  const withIssuer = (issuer: string) => ({ jwtRules: [{ ...inline, issuer }] });

  test("are those of its namespace and of the root, with its labels, the oldest first", () => {
    const rules = rulesOf(
      resource(withIssuer("young"), { name: "a", creationTimestamp: "2024-02-01T00:00:00Z" }),
      resource(withIssuer("old"), { name: "b", creationTimestamp: "2024-01-01T00:00:00Z" }),
      resource(withIssuer("root"), { name: "c", namespace: "istio-system", creationTimestamp: "2024-03-01T00:00:00Z" }),
      resource(withIssuer("elsewhere"), { name: "d", namespace: "other" }),
      resource({ ...withIssuer("others"), selector: { matchLabels: { app: "unheard-of" } } }, { name: "e" }),
      resource({ ...withIssuer("gateways"), targetRefs: [{ kind: "Gateway", name: "g" }] }, { name: "f" }),
    );
    expect(rules.map(({ issuer }) => issuer)).toEqual(["old", "young", "root"]);
  });

  test("leave nothing in the snapshot of a workload without any", () => {
    expect("jwtRules" in compileYaml(resource({ jwtRules: [] })).snapshot.inbound).toBe(false);
  });

  test("that cannot be read close it", () => {
    const { snapshot } = compileYaml(resource({ jwtRules: [{ issuer: "i", jwks: "rubbish" }] }), {}, { allowRejected: true });
    expect(snapshot.inbound.authorization.deny).toMatchObject([{ provenance: { resource: "RequestAuthentication default/jwt", line: 1 }, rules: [{ from: [], to: [], when: [] }] }]);
  });
});
