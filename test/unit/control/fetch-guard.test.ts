import type { LookupFunction } from "node:net";
import { describe, expect, test } from "vitest";

import { FetchGuard, ForbiddenAddress } from "../../../src/control/fetch-guard.ts";

const guard = new FetchGuard([]);

describe("addresses", () => {
  test.each([
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "100.100.100.200", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "nonsense", "",
  ])("%s is not fetched from", (address) => {
    expect(guard.allows(address)).toBe(false);
  });

  test.each(["8.8.8.8", "10.96.0.10", "192.168.1.1", "172.16.0.1", "2001:db8::1", "fd12:3456::1", "64:ff9b::8.8.8.8"])("%s is", (address) => {
    expect(guard.allows(address)).toBe(true);
  });

  test("what is allowed by name is allowed, and nothing else", () => {
    const lenient = new FetchGuard(["127.0.0.0/8"]);
    expect(lenient.allows("127.0.0.1")).toBe(true);
    expect(lenient.allows("::ffff:127.0.0.1")).toBe(true);
    expect(lenient.allows("::1")).toBe(false);
    expect(() => new FetchGuard(["localhost"])).toThrow('"localhost" is not an address block');
  });
});

test.each(["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "169.254.169.254"])("a host that is the address %s is refused", (host) => {
  expect(() => guard.checkLiteral(host)).toThrow(ForbiddenAddress);
});

test("other spellings of loopback are undone by URL before they are looked at", () => {
  for (const url of ["http://0x7f.1/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/", "http://[0:0:0:0:0:0:0:1]/"]) {
    expect(() => guard.checkLiteral(new URL(url).hostname)).toThrow(ForbiddenAddress);
  }
});

describe("names", () => {
  const resolved = (answer: Parameters<Parameters<LookupFunction>[2]>[1]): Promise<unknown> => new Promise((resolve) => {
    const lookup: LookupFunction = (_name, _options, callback) => callback(null, answer, 4);
    guard.guarded(lookup)("issuer.example", {}, (error, address) => resolve(error ?? address));
  });

  test("that resolve to good addresses do", async () => {
    expect(await resolved("8.8.8.8")).toBe("8.8.8.8");
    expect(await resolved([{ address: "8.8.8.8", family: 4 }])).toEqual([{ address: "8.8.8.8", family: 4 }]);
  });

  test("of which one address is forbidden are refused", async () => {
    expect(await resolved("127.0.0.1")).toBeInstanceOf(ForbiddenAddress);
    expect(await resolved([{ address: "8.8.8.8", family: 4 }, { address: "::1", family: 6 }])).toBeInstanceOf(ForbiddenAddress);
  });
});
