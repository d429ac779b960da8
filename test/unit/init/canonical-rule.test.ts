import { describe, expect, it } from "vitest";

import { canonicalRule } from "../../../init/canonical-rule.ts";

const canonical = (text: string) => canonicalRule("CHAIN", text.split(" "));

describe("canonical rule", () => {
  it.each([
    ["-o lo -s 127.0.0.6/32 -j RETURN", "-s 127.0.0.6/32 -o lo -j RETURN"],
    ["-p tcp --dport 15008 -j RETURN", "-p tcp -m tcp --dport 15008 -j RETURN"],
    ["-o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -j X", "! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -j X"],
    ["-p udp -j REDIRECT --to-port 15053", "-p udp -j REDIRECT --to-ports 15053"],
    ["-d 10.1.2.3/8 -j X", "-d 10.0.0.0/8 -j X"],
    ["-d 10.1.2.3 -j X", "-d 10.1.2.3/32 -j X"],
    ["-d 2001:DB8:0:0::7/64 -j X", "-d 2001:db8::/64 -j X"],
    ["-d ::127.0.0.53/128 -j X", "-d ::7f00:35/128 -j X"],
  ])("%s is %s", (planned, saved) => {
    expect(canonical(planned)).toBe(canonical(saved));
  });

  it.each([
    ["! -d 10.0.0.0/8 -j X", "-d 10.0.0.0/8 -j X"],
    ["-s 10.0.0.0/8 -j X", "-d 10.0.0.0/8 -j X"],
    ["-d 10.0.0.0/8 -j X", "-d 10.0.0.0/9 -j X"],
    ["-d ::/8 -j X", "-d 0.0.0.0/8 -j X"],
    ["-d ::ffff:10.0.0.1/128 -j X", "-d ::10.0.0.1/128 -j X"],
    ["-p tcp --dport 1 -j X", "-p udp --dport 1 -j X"],
    ["-p tcp --dport 1 -j X", "-p tcp --sport 1 -j X"],
    ["-p tcp -j X", "-p tcp -j Y"],
    ["-m owner --uid-owner 1 -j X", "-m owner --gid-owner 1 -j X"],
    ["-m owner ! --gid-owner 1 -m owner ! --gid-owner 2 -j X", "-m owner ! --gid-owner 1 -j X"],
    ["-p tcp -j REDIRECT --to-ports 1", "-p tcp -j REDIRECT --to-ports 2"],
  ])("%s is not %s", (one, other) => {
    expect(canonical(one)).not.toBe(canonical(other));
  });

  it("tells chains apart", () => {
    expect(canonicalRule("A", ["-j", "X"])).not.toBe(canonicalRule("B", ["-j", "X"]));
  });
});
