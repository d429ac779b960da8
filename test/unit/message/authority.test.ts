import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { normalizeAuthority } from "../../../src/message/authority.ts";

describe("normalizeAuthority", () => {
  it.each(["A.TEST", "a.test.", "a.test:80", "a.test:443", "a.test:0080", "a.test.:80", "a.test:"])("B10: %s is a.test", (authority) => {
    expect(normalizeAuthority(authority)?.host).toBe("a.test");
  });

  it("tells the port", () => {
    expect(normalizeAuthority("a.test:0080")).toEqual({ host: "a.test", port: 80 });
    expect(normalizeAuthority("a.test")).toEqual({ host: "a.test", port: null });
    expect(normalizeAuthority("[::1]:8080")).toEqual({ host: "[::1]", port: 8080 });
    expect(normalizeAuthority("10.0.0.1:1")).toEqual({ host: "10.0.0.1", port: 1 });
  });

  it.each(["a.test%00.evil", "\u0430.test", "a.test\u00e9", "a.test b.test", "a.test/x", "user@a.test", "a.test?x", "a.test#x", "a.test:99999", "a.test:65536",
    "a.test:8x", "a.test:80:90", "a.test:000080", "[::1", "[::1]x", "[::g]", "[]", "::1", "a..test", ".a.test", "a.test..", ".", "", ":80", "*", `${"a".repeat(300)}`, "a.test\0"])(
    "B11, A36: refuses %j", (authority) => {
      expect(normalizeAuthority(authority)).toBeNull();
    });

  it.each(["[::ffff:127.0.0.1]", "0x7f.1", "127.1", "a_b.test", "xn--80a.test"])("B11: takes %s literally", (authority) => {
    expect(normalizeAuthority(authority)?.host).toBe(authority);
  });

  it("takes long names in time linear in their length", () => {
    expect(normalizeAuthority(`${"a.".repeat(126)}a`)?.host).toHaveLength(253);
    expect(normalizeAuthority(`${"a".repeat(127)}.${"a".repeat(127)}`)).toBeNull();
    expect(normalizeAuthority(`${"-".repeat(250)}!`)).toBeNull();
  });

  it("is idempotent", () => {
    const text = fc.array(fc.constantFrom("a", "B", ".", ":", "8", "-", "[", "]", "::1", "\0"), { maxLength: 10 }).map((parts) => parts.join(""));
    fc.assert(fc.property(text, (authority) => {
      const once = normalizeAuthority(authority);
      return once === null || normalizeAuthority(once.host)?.host === once.host;
    }), { numRuns: 3000 });
  });
});
