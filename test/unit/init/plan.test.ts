import { describe, expect, it } from "vitest";

import type { CaptureOptions } from "../../../init/capture-options.ts";
import { parseCidr } from "../../../init/cidr.ts";
import { plan } from "../../../init/plan.ts";
import { restoreDocument } from "../../../init/restore-document.ts";

const defaults: CaptureOptions = {
  outboundPort: 15001,
  inboundPort: 15006,
  tunnelPort: 15008,
  proxyUids: ["1337"],
  proxyGids: ["1337"],
  inboundPorts: [],
  inboundExcludedPorts: [],
  excludedInterfaces: [],
  virtualInterfaces: [],
  includedCidrs: [],
  excludedCidrs: [],
  outboundPorts: [],
  outboundExcludedPorts: [],
  ownerGroups: "*",
  excludedOwnerGroups: [],
  redirectDns: false,
  captureAllDns: false,
  dnsServersV4: [],
  dnsServersV6: [],
  dropInvalid: false,
  loopbackCidr: "127.0.0.1/32",
  ipv6: false,
};

const ranges = (...texts: string[]) => texts.map((text) => parseCidr(text)).filter((cidr) => cidr !== null);

/** The IPv4 document's lines for these options. */
function lines(options: Partial<CaptureOptions>): string[] {
  return restoreDocument([], plan({ ...defaults, ...options }).v4).trim().split("\n");
}

/** Lines these options add to the defaults, in order. */
function added(options: Partial<CaptureOptions>): string[] {
  const before = lines({});
  return lines(options).filter((line) => !before.includes(line));
}

// What Istio's golden files do not show; the rest is in test/conformance.
describe("capture plan", () => {
  it("excludes inbound ports only when all are captured", () => {
    expect(added({ inboundPorts: "*", inboundExcludedPorts: [15090] })).toEqual([
      "-A PREROUTING -p tcp -j ISTIO_INBOUND",
      "-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN",
      "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
    ]);
    expect(added({ inboundPorts: [80], inboundExcludedPorts: [15090] })).toEqual([
      "-A PREROUTING -p tcp -j ISTIO_INBOUND",
      "-A ISTIO_INBOUND -p tcp --dport 80 -j ISTIO_IN_REDIRECT",
    ]);
  });

  it("excludes outbound ports, TCP and UDP, before any other rule, and ranges after those of the proxy", () => {
    const all = lines({ outboundExcludedPorts: [22], excludedCidrs: ranges("10.1.0.0/16"), includedCidrs: "*" });
    const at = (line: string) => all.indexOf(line);
    expect(at("-A OUTPUT -j ISTIO_OUTPUT")).toBeLessThan(at("-A ISTIO_OUTPUT -p tcp --dport 22 -j RETURN"));
    expect(at("-A ISTIO_OUTPUT -p udp --dport 22 -j RETURN")).toBe(at("-A ISTIO_OUTPUT -p tcp --dport 22 -j RETURN") + 1);
    expect(at("-A ISTIO_OUTPUT -p udp --dport 22 -j RETURN") + 1).toBe(at("-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN"));
    expect(at("-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN") + 1).toBe(at("-A ISTIO_OUTPUT -d 10.1.0.0/16 -j RETURN"));
    expect(all.slice(-2)).toEqual(["-A ISTIO_OUTPUT -j ISTIO_REDIRECT", "COMMIT"]);
  });

  it("leaves excluded interfaces alone before anything else", () => {
    expect(lines({ excludedInterfaces: ["eth1"], inboundPorts: "*" }).filter((line) => line.startsWith("-A")).slice(0, 2)).toEqual([
      "-A PREROUTING -i eth1 -j RETURN",
      "-A OUTPUT -o eth1 -j RETURN",
    ]);
  });

  it("drops what conntrack calls invalid", () => {
    expect(lines({ dropInvalid: true }).slice(0, 5)).toEqual([
      "* mangle",
      "-N ISTIO_DROP",
      "-A PREROUTING -m conntrack --ctstate INVALID -j ISTIO_DROP",
      "-A ISTIO_DROP -j DROP",
      "COMMIT",
    ]);
  });

  it("captures loopback when a range of the operator lies in it, in either family", () => {
    const keepsLoopback = "-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN";
    expect(lines({ includedCidrs: "*" })).toContain(keepsLoopback);
    expect(lines({ includedCidrs: ranges("127.0.0.2/32") })).not.toContain(keepsLoopback);
    expect(lines({ includedCidrs: ranges("::1/128") })).not.toContain(keepsLoopback);
  });

  it("takes another loopback range everywhere it counts", () => {
    const all = lines({ loopbackCidr: "127.1.2.3/32" });
    expect(all.filter((line) => line.includes("127.1.2.3/32"))).toHaveLength(3);
    expect(all.filter((line) => line.includes("127.0.0.1/32"))).toHaveLength(0);
  });

  it("captures every DNS query when told to, and none without a server to name", () => {
    expect(added({ redirectDns: true, captureAllDns: true })).toEqual(
      expect.arrayContaining([
        "-A ISTIO_OUTPUT_DNS -p tcp --dport 53 -j REDIRECT --to-ports 15053",
        "-A ISTIO_OUTPUT_DNS -p udp --dport 53 -j REDIRECT --to-port 15053",
        "-A ISTIO_INBOUND -p udp --sport 53 -j CT --zone 1",
      ]),
    );
    expect(added({ redirectDns: true })).toEqual([]);
    expect(plan({ ...defaults, redirectDns: true }).warnings).toEqual([expect.stringContaining("DNS is not captured")]);
    expect(plan(defaults).warnings).toEqual([]);
  });

  it("gives the family without a DNS server no jump into an empty chain", () => {
    const { v6 } = plan({ ...defaults, ipv6: true, redirectDns: true, dnsServersV4: ["192.0.2.53"] });
    expect(v6?.filter((rule) => rule.table === "nat" && rule.words.includes("ISTIO_OUTPUT_DNS"))).toEqual([]);
  });

  it("splits ranges by family", () => {
    const { v4, v6 } = plan({ ...defaults, ipv6: true, includedCidrs: ranges("10.0.0.0/8", "2001:db8::/32") });
    const destinations = (rules: typeof v4) => rules.filter((rule) => rule.words.includes("ISTIO_REDIRECT")).map((rule) => rule.words[1]);
    expect(destinations(v4)).toEqual(["10.0.0.0/8"]);
    expect(destinations(v6 ?? [])).toEqual(["2001:db8::/32"]);
  });

  it("writes nothing for IPv6 unless it is captured", () => {
    expect(plan(defaults).v6).toBeNull();
  });
});
