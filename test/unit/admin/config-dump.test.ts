import { expect, test } from "vitest";

import { configDump } from "../../../src/admin/config-dump.ts";
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
