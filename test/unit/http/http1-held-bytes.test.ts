import { expect, test } from "vitest";

import { Http1HeldBytes } from "../../../src/http/http1-held-bytes.ts";

function drained(held: Http1HeldBytes): string {
  let text = "";
  for (let chunk = held.take(); chunk !== undefined; chunk = held.take()) text += chunk.toString("latin1");
  return text;
}

test("bytes come out in the order they came in, what was left of a chunk first", () => {
  const held = new Http1HeldBytes();
  held.put(Buffer.from("two "), false);
  held.put(Buffer.from("three"), false);
  held.put(Buffer.from("one "), true);
  expect([held.bytes, held.isEmpty]).toEqual([13, false]);
  expect(drained(held)).toBe("one two three");
  expect([held.bytes, held.isEmpty, held.take()]).toEqual([0, true, undefined]);
});

test("what is put back after it was taken comes before the rest", () => {
  const held = new Http1HeldBytes();
  held.put(Buffer.alloc(5000, "a"), false);
  held.put(Buffer.from("b"), false);
  held.put(held.take()?.subarray(4998) ?? Buffer.alloc(0), true);
  expect(drained(held)).toBe("aab");
});

test("cleared, it holds nothing", () => {
  const held = new Http1HeldBytes();
  held.put(Buffer.from("rest"), true);
  held.put(Buffer.from("more"), false);
  held.clear();
  expect([held.bytes, held.take()]).toEqual([0, undefined]);
});

/*
 * Symptom: 64 KiB of later requests, sent byte by byte while one waits, took 35 MB. Cause: the bound is in bytes, and each
 * read was kept as the buffer it came in. Fix: they are packed.
 */
test("CVE-2020-8659 bytes that come one by one do not keep a buffer each", () => {
  const held = new Http1HeldBytes();
  for (let index = 0; index < 10_000; index++) held.put(Buffer.alloc(65_536).subarray(0, 1), false);
  const memory = new Set<ArrayBufferLike>();
  for (let chunk = held.take(); chunk !== undefined; chunk = held.take()) memory.add(chunk.buffer);
  expect([...memory].reduce((sum, buffer) => sum + buffer.byteLength, 0)).toBeLessThanOrEqual(16_384);
});
