import { expect, test } from "vitest";
import { isHeaderValue } from "../../../../src/config/kinds/header-rules.ts";

test.each(["", "plain", "a\tb", "100%%", "%REQ(x-user)%", "%REQ(:path):20%", "%UPSTREAM_HOST% and more"])("%j may be a header's value", (value) => {
  expect(isHeaderValue(value)).toBe(true);
});

test.each(["a\r\nx-b: c", "a\nb", "a\0b", "a\x7f", "\u0007", "j\u00f6rg", "\u010a", "50%", "%lower%", "%REQ(a\r\nb)%"])("%j may not: it could not be written, or not in one way", (value) => {
  expect(isHeaderValue(value)).toBe(false);
});
