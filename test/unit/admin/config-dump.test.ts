import { expect, test } from "vitest";

import { configDump } from "../../../src/admin/config-dump.ts";
import { meshConfig, security, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "../explain/explainer-of.ts";

const secret = Buffer.alloc(32, 7).toString("base64url");
const rules = (keys: readonly object[]) => [{ apiVersion: "security.istio.io/v1", kind: "RequestAuthentication", metadata: { name: "jwt" }, spec: { jwtRules: [{ issuer: "i", jwks: JSON.stringify({ keys }) }] } }];

test("a shared secret of tokens is not told", () => {
  const { snapshot } = meshOf(rules([{ kty: "oct", k: secret, kid: "a" }, { kty: "RSA", n: "bg", e: "AQAB" }]));
  expect(JSON.stringify(snapshot)).toContain(secret);
  const dump = JSON.stringify(configDump(snapshot));
  expect(dump).not.toContain(secret);
  expect(dump).toContain('{"kty":"oct","kid":"a","k":"(secret)"}');
  expect(dump).toContain('"n":"bg"');
});

test("all else is the snapshot itself", () => {
  const { snapshot } = meshOf([]);
  expect(configDump(snapshot)).toBe(snapshot);
  expect(configDump(null)).toBeNull();
});

test("what an external authorizer is told besides is not told to others", () => {
  const provider = { service: "authz.default.svc.cluster.local", port: 9080, includeAdditionalHeadersInCheck: { "x-api-key": "told-to-nobody" } };
  const { snapshot } = meshOf([
    service({ name: "authz", endpoints: [] }), meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: provider }] }),
    security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules: [{}] }),
  ]);
  expect(JSON.stringify(snapshot)).toContain("told-to-nobody");
  expect(JSON.stringify(configDump(snapshot))).not.toContain("told-to-nobody");
});
