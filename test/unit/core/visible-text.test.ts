import { expect, it } from "vitest";
import { visibleLine, visibleText } from "../../../src/core/visible-text.ts";

it("what can be seen stays as it is", () => {
  for (const text of ["", "a b", "naïve ✓ 日本 😀", '"\\']) expect(visibleText(text)).toBe(text);
});

it.each([
  ["a line end", "a\r\nb", String.raw`a\u000d\u000ab`], ["an order to the terminal", "\u001b[2J", String.raw`\u001b[2J`], ["another", "\u009b2J", String.raw`\u009b2J`],
  ["NUL and DEL", "\0\u007f", String.raw`\u0000\u007f`], ["separators", "\u2028\u2029", String.raw`\u2028\u2029`], ["another order of text", "\u202eabc\u2066", String.raw`\u202eabc\u2066`],
  ["what has no width", "a\u200bb\ufeff", String.raw`a\u200bb\ufeff`], ["a tag", "\u{e0001}", String.raw`\udb40\udc01`],
])("%s is written out", (_what, text, expected) => expect(visibleText(text)).toBe(expected));

it("several lines are one", () => expect(visibleLine("a\r\n\r\nb\nc\u001b")).toBe(String.raw`a b c\u001b`));
