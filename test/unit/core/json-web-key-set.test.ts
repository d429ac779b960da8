import { expect, test } from "vitest";

import { readKeySet } from "../../../src/core/json-web-key-set.ts";

const EC = { kty: "EC", crv: "P-256", x: "eA", y: "eQ" };
const SECRET = { kty: "oct", k: "c2VjcmV0" };
const read = (keys: unknown, allowsSecrets = false) => readKeySet(JSON.stringify({ keys }), allowsSecrets);

test("keys for signatures are read, without their private halves", () => {
  expect(read([{ ...EC, kid: "a", use: "sig", alg: "ES256", key_ops: ["verify"], d: "private", x5c: ["..."] }])).toEqual([{ ...EC, kid: "a", alg: "ES256" }]);
  expect(read([{ kty: "RSA", n: "bg", e: "AQAB", d: "d", p: "p", q: "q", k: "k" }])).toEqual([{ kty: "RSA", n: "bg", e: "AQAB" }]);
});

test("secrets are read only where they can be secret", () => {
  expect(read([SECRET], true)).toEqual([SECRET]);
  expect(read([SECRET], false)).toEqual([]);
});

test.each([
  { ...EC, use: "enc" }, { ...EC, key_ops: ["sign"] }, { ...EC, key_ops: "verify" }, { ...EC, kty: "XX" }, { ...EC, x: undefined }, { ...EC, x: "" }, { ...EC, kid: 7 },
  { kty: "RSA", n: "bg" }, { kty: "OKP", x: "eA" }, null, "key", [EC],
])("%j is passed over", (key) => {
  expect(read([key, EC])).toEqual([EC]);
});

test.each(["", "[]", "{}", '{"keys":{}}', '{"keys":[],"keys":[]}', "null"])("%s is no key set", (text) => {
  expect(readKeySet(text, true)).toBeNull();
});

test("a hundred keys are read, and more are none", () => {
  expect(read(Array.from({ length: 100 }, () => EC))).toHaveLength(100);
  expect(read(Array.from({ length: 101 }, () => EC))).toBeNull();
});
