import fc from "fast-check";
import { expect, test } from "vitest";

import { parseStrictJson, parseStrictObject } from "../../../src/core/strict-json.ts";

test("reads whatever JSON.stringify writes", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => {
    // What fast-check makes has each name once.
    expect(parseStrictJson(text)).toEqual(JSON.parse(text));
  }));
});

test("refuses what JSON.parse refuses", () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ",", ":", "1", "a", " ") }), (text) => {
    let isValid = true;
    try {
      JSON.parse(text);
    } catch {
      isValid = false;
    }
    if (!isValid) expect(parseStrictJson(text)).toBeUndefined();
  }), { numRuns: 2000 });
});

test.each(['{"a":1,"a":2}', '{"b":{"a":1,"c":[],"a":2}}', '{"a":1,"\\u0061":2}', '[{"a":1,"b":[{}],"a":{}}]', '{"":1,"":2}'])("refuses a name twice: %s", (text) => {
  expect(parseStrictJson(text)).toBeUndefined();
});

test.each(['{"a":{"a":{"a":1}}}', '[{"a":1},{"a":2}]', '{"a":"a","b":"a"}', '{"a\\"b":1,"a":["a","a"]}', '{"__proto__":1,"constructor":2}'])("takes %s", (text) => {
  expect(parseStrictJson(text)).toEqual(JSON.parse(text));
});

test("takes 64 levels and not one more, however the brackets are spread", () => {
  expect(parseStrictJson("[".repeat(64) + "]".repeat(64))).toBeDefined();
  expect(parseStrictJson("[".repeat(65) + "]".repeat(65))).toBeUndefined();
  expect(parseStrictJson('{"a":'.repeat(65) + "1" + "}".repeat(65))).toBeUndefined();
  expect(parseStrictJson(`"${"[".repeat(100)}"`)).toBe("[".repeat(100));
  expect(parseStrictJson("[".repeat(1_000_000))).toBeUndefined();
});

test("an object is no list, no null and no text", () => {
  for (const text of ["[]", "null", '"{}"', "1", ""]) expect(parseStrictObject(text)).toBeNull();
  expect(parseStrictObject('{"a":1}')).toEqual({ a: 1 });
});
