import { describe, expect, it } from "vitest";

import { proxyHeader } from "../../../src/upstream/proxy-header.ts";

/* HAProxy's PROXY protocol, sections 2.1 (text) and 2.2 (binary). */

const V4 = [{ address: "192.0.2.1", port: 51234 }, { address: "198.51.100.7", port: 443 }] as const;
const V6 = [{ address: "2001:db8::1", port: 51234 }, { address: "2001:db8::2", port: 443 }] as const;
const SIGNATURE = "0d0a0d0a000d0a515549540a";

describe("the PROXY header", () => {
  it("version 1 is a line of text", () => {
    expect(proxyHeader("V1", ...V4).toString()).toBe("PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\n");
    expect(proxyHeader("V1", ...V6).toString()).toBe("PROXY TCP6 2001:db8::1 2001:db8::2 51234 443\r\n");
  });

  it("version 2 is binary, with the addresses in network order", () => {
    expect(proxyHeader("V2", ...V4).toString("hex")).toBe(`${SIGNATURE}2111000cc0000201c6336407c82201bb`);
    expect(proxyHeader("V2", ...V6).toString("hex"))
      .toBe(`${SIGNATURE}2121002420010db8${"0".repeat(23)}120010db8${"0".repeat(23)}2c82201bb`);
  });

  it("addresses of two families, or none, are said to be unknown", () => {
    expect(proxyHeader("V1", V4[0], V6[1]).toString()).toBe("PROXY UNKNOWN\r\n");
    expect(proxyHeader("V2", V4[0], V6[1]).toString("hex")).toBe(`${SIGNATURE}20000000`);
    expect(proxyHeader("V1", { address: "", port: 0 }, V4[1]).toString()).toBe("PROXY UNKNOWN\r\n");
  });
});
