import { BlockList, isIP } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cidr, canonicalAddress, parseIpAddress } from "../../../src/core/cidr.ts";

const contains = (block: string, address: string) => {
  const parsed = parseIpAddress(address);
  return parsed !== null && (Cidr.parse(block)?.contains(parsed) ?? false);
};

describe("parseIpAddress", () => {
  it.each(["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "0x7f.1", "127.1", "1.2.3.4:80", "10.0.0.1 ", "a.b.c.d", "1..2.3",
    ":", ":::", "1::2::3", "12345::", "::1%", "[::1]", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "::g", "1.2.3.4::", "é"])("refuses %j", (text) => {
    expect(parseIpAddress(text)).toBeNull();
  });

  it("ignores a zone, and never throws on one (CVE-2026-26310)", () => {
    expect(contains("fe80::/10", "fe80::1%eth0")).toBe(true);
    expect(Cidr.parse("fe80::1%eth0")).toBeNull();
    expect(Cidr.parse("fe80::%eth0/10")).toBeNull();
  });

  it("takes what the host's parser takes, and nothing else", () => {
    const piece = fc.constantFrom("0", "1", "9", "a", "F", ":", "::", ".", "10", "255", "256", "ffff", "fe80");
    const text = fc.oneof(fc.ipV4(), fc.ipV6(), fc.array(piece, { maxLength: 14 }).map((parts) => parts.join("")));
    fc.assert(fc.property(text, (value) => (parseIpAddress(value) !== null) === (isIP(value) !== 0)), { numRuns: 5000 });
  });

  it("never throws", () => {
    fc.assert(fc.property(fc.string({ maxLength: 60 }), (value) => {
      parseIpAddress(value);
      Cidr.parse(value);
    }), { numRuns: 2000 });
  });
});

describe("Cidr", () => {
  it("holds the addresses under its prefix", () => {
    expect(contains("10.0.0.0/8", "10.255.0.1")).toBe(true);
    expect(contains("10.0.0.0/8", "11.0.0.1")).toBe(false);
    expect(contains("10.1.2.3", "10.1.2.3")).toBe(true);
    expect(contains("10.1.2.3", "10.1.2.4")).toBe(false);
    expect(contains("10.9.9.9/8", "10.0.0.1")).toBe(true);
    expect(contains("0.0.0.0/0", "255.1.1.1")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:7fff::1")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:8000::1")).toBe(false);
    expect(contains("::/0", "2001:db8::1")).toBe(true);
  });

  it("treats a mapped address as the IPv4 address it is", () => {
    expect(contains("10.0.0.0/8", "::ffff:10.0.0.1")).toBe(true);
    expect(contains("10.0.0.0/8", "::ffff:a00:1")).toBe(true);
    expect(contains("::ffff:10.0.0.0/104", "10.2.3.4")).toBe(true);
    expect(contains("::ffff:10.0.0.0/104", "11.2.3.4")).toBe(false);
    expect(contains("::ffff:10.0.0.1", "10.0.0.1")).toBe(true);
    expect(contains("::/0", "10.0.0.1")).toBe(false);
    expect(Cidr.parse("::ffff:10.0.0.0/64")).toBeNull();
  });

  it.each(["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "/8", "10.0.0.0/8/8", "10.0.0/8"])("refuses %j", (text) => {
    expect(Cidr.parse(text)).toBeNull();
  });

  it("agrees with the host's block list", () => {
    const near = fc.tuple(fc.constantFrom("10.0.0.", "10.0.1.", "192.168.0."), fc.integer({ min: 0, max: 255 })).map(([a, b]) => a + b);
    const near6 = fc.tuple(fc.constantFrom("2001:db8::", "2001:db8:1::", "fe80::"), fc.integer({ min: 0, max: 255 })).map(([a, b]) => a + b.toString(16));
    const pair4 = fc.tuple(near, near, fc.integer({ min: 0, max: 32 }), fc.constant("ipv4" as const));
    const pair6 = fc.tuple(near6, near6, fc.integer({ min: 0, max: 128 }), fc.constant("ipv6" as const));
    fc.assert(fc.property(fc.oneof(pair4, pair6), ([base, address, bits, family]) => {
      const list = new BlockList();
      list.addSubnet(base, bits, family);
      return contains(`${base}/${bits}`, address) === list.check(address, family);
    }), { numRuns: 3000 });
  });
});

describe("canonicalAddress", () => {
  it("drops the zone and unwraps mapped addresses", () => {
    expect(canonicalAddress("::ffff:10.0.0.1")).toBe("10.0.0.1");
    expect(canonicalAddress("::ffff:fffe:1")).toBe("255.254.0.1");
    expect(canonicalAddress("fe80::1%eth0")).toBe("fe80::1");
    expect(canonicalAddress("10.0.0.1")).toBe("10.0.0.1");
    expect(canonicalAddress("2001:db8::1")).toBe("2001:db8::1");
    expect(canonicalAddress("")).toBe("");
    expect(canonicalAddress("a:b")).toBe("a:b");
  });
});
