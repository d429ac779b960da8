import { expect, test } from "vitest";

import { JwtCache } from "../../../src/filter/jwt-cache.ts";
import { NOT_VERIFIED } from "../../../src/filter/jwt-failure.ts";
import type { ParsedToken } from "../../../src/filter/jwt-token.ts";
import { VerifiedToken } from "../../../src/message/verified-token.ts";

const good = new VerifiedToken({});
const parsed = (text: string): ParsedToken => ({ text, alg: "ES256", kid: null, payload: "", claims: {}, expiresAt: Infinity, notBefore: -Infinity, audiences: [] });

test("keeps 4096 tokens, those used last", () => {
  const cache = new JwtCache();
  cache.add("first", parsed("t"), 0, good);
  for (let index = 0; index < 4095; index++) cache.add(`t${index}`, parsed("t"), 0, good);
  expect(cache.get("first")).toBeDefined();
  cache.add("one more", parsed("t"), 0, good);
  expect(cache.size).toBe(4096);
  expect(cache.get("first")).toBeDefined();
  expect(cache.get("t0")).toBeUndefined();
});

test("keeps no more bytes than it may, whatever the number", () => {
  const cache = new JwtCache();
  for (let index = 0; index < 200; index++) cache.add(`t${index}`, parsed("x".repeat(60_000)), 0, good);
  expect(cache.size).toBeLessThan(20);
  expect(cache.get("t199")).toBeDefined();
});

test("tokens that nobody believes cost those that somebody does no place", () => {
  const cache = new JwtCache();
  cache.add("good", parsed("t"), 0, good);
  for (let index = 0; index < 10_000; index++) cache.add(`bad${index}`, parsed("t"), 0, NOT_VERIFIED);
  expect(cache.get("good")).toBeDefined();
  expect(cache.size).toBe(257);
});

test("a token that one rule refused and another believes is a good one", () => {
  const cache = new JwtCache();
  cache.add("t", parsed("t"), 0, NOT_VERIFIED);
  cache.add("t", parsed("t"), 1, good);
  expect(cache.size).toBe(1);
  expect([...cache.get("t")?.results ?? []]).toEqual([[0, NOT_VERIFIED], [1, good]]);
  for (let index = 0; index < 1000; index++) cache.add(`bad${index}`, parsed("t"), 0, NOT_VERIFIED);
  expect(cache.get("t")).toBeDefined();
});

test("its keys do not hold the token", () => {
  expect(JwtCache.keyOf("secret.token.text")).toMatch(/^[\w-]{43}$/);
});
