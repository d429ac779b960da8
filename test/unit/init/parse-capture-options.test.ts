import { describe, expect, it } from "vitest";

import { type CaptureFlagName, captureFlags, type CaptureFlagValues } from "../../../init/capture-flags.ts";
import type { HostFacts } from "../../../init/host-facts.ts";
import { OptionError } from "../../../init/option-error.ts";
import { parseCaptureOptions } from "../../../init/parse-capture-options.ts";

const host: HostFacts = { addresses: ["192.0.2.1"], dnsServers: [], proxyUid: null };

function parse(given: Partial<Record<CaptureFlagName, string>>, facts: Partial<HostFacts> = {}) {
  const defaults = Object.fromEntries(captureFlags.map((flag) => [flag.name, flag.fallback])) as CaptureFlagValues;
  return parseCaptureOptions({ ...defaults, ...given }, { ...host, ...facts });
}

describe("capture options", () => {
  it("have Istio's defaults", () => {
    expect(parse({})).toEqual({
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
    });
  });

  it("read lists with spaces and empty items", () => {
    expect(parse({ "istio-inbound-ports": " 80, 443 ,," }).inboundPorts).toEqual([80, 443]);
    expect(parse({ "istio-service-cidr": "10.0.0.0/8,2001:db8::/32" }).includedCidrs).toMatchObject([{ family: 4 }, { family: 6 }]);
  });

  it("take the proxy's user from the host, and the group from the user", () => {
    expect(parse({}, { proxyUid: "999" })).toMatchObject({ proxyUids: ["999"], proxyGids: ["999"] });
    expect(parse({ "proxy-uid": "5,6" }, { proxyUid: "999" })).toMatchObject({ proxyUids: ["5", "6"], proxyGids: ["5", "6"] });
    expect(parse({ "proxy-uid": "5", "proxy-gid": "7" })).toMatchObject({ proxyUids: ["5"], proxyGids: ["7"] });
  });

  it("divide the DNS servers by family", () => {
    const { dnsServersV4, dnsServersV6 } = parse({}, { dnsServers: ["192.0.2.53", "2001:db8::53"] });
    expect({ dnsServersV4, dnsServersV6 }).toEqual({ dnsServersV4: ["192.0.2.53"], dnsServersV6: ["2001:db8::53"] });
  });

  it.each([
    [["192.0.2.1"], "false", false],
    [["192.0.2.1", "2001:db8::1"], "false", false],
    [["192.0.2.1", "2001:db8::1"], "true", true],
    [["2001:db8::1", "192.0.2.1"], "false", true],
    [[], "true", false],
  ])("addresses %j, dual stack %s: IPv6 captured %s", (addresses, dualStack, ipv6) => {
    expect(parse({ "dual-stack": dualStack }, { addresses }).ipv6).toBe(ipv6);
  });

  it.each([
    ["envoy-port", "70000", "--envoy-port (-p)"],
    ["envoy-port", "0", "--envoy-port (-p)"],
    ["inbound-capture-port", "", "--inbound-capture-port (-z)"],
    ["istio-inbound-ports", "80,http", "--istio-inbound-ports (-b)"],
    ["istio-inbound-ports", "80,*", "--istio-inbound-ports (-b)"],
    ["istio-local-exclude-ports", "*", "--istio-local-exclude-ports (-d)"],
    ["istio-outbound-ports", "1:1024", "--istio-outbound-ports (-q)"],
    ["istio-local-outbound-ports-exclude", "-1", "--istio-local-outbound-ports-exclude (-o)"],
    ["istio-service-cidr", "10.0.0.0", "--istio-service-cidr (-i)"],
    ["istio-service-cidr", "10.0.0.0/33", "--istio-service-cidr (-i)"],
    ["istio-service-cidr", "010.0.0.0/8", "--istio-service-cidr (-i)"],
    ["istio-service-cidr", "fe80::%eth0/64", "--istio-service-cidr (-i)"],
    ["istio-service-exclude-cidr", "*", "--istio-service-exclude-cidr (-x)"],
    ["istio-exclude-interfaces", "eth0 -j ACCEPT", "--istio-exclude-interfaces (-c)"],
    ["istio-exclude-interfaces", "-j", "--istio-exclude-interfaces (-c)"],
    ["kube-virt-interfaces", "a-name-that-is-too-long", "--kube-virt-interfaces (-k)"],
    ["kube-virt-interfaces", "eth0\nCOMMIT", "--kube-virt-interfaces (-k)"],
    ["proxy-uid", "1337 -j ACCEPT", "--proxy-uid (-u)"],
    ["proxy-gid", "4294967295", "--proxy-gid (-g)"],
    ["outbound-owner-groups", Array.from({ length: 65 }, (_, at) => at).join(","), "--outbound-owner-groups:"],
    ["outbound-ipv4-loopback-cidr", "10.0.0.0/8", "--outbound-ipv4-loopback-cidr"],
    ["outbound-ipv4-loopback-cidr", "127.0.0.0/7", "--outbound-ipv4-loopback-cidr"],
    ["istio-inbound-interception-mode", "TPROXY", "--istio-inbound-interception-mode (-m)"],
    ["istio-inbound-interception-mode", "NONE", "--istio-inbound-interception-mode (-m)"],
    ["redirect-dns", "maybe", "--redirect-dns"],
  ] as const)("%s %j is refused by name, in one line", (flag, value, named) => {
    let message = "";
    try {
      parse({ [flag]: value });
    } catch (error) {
      expect(error).toBeInstanceOf(OptionError);
      message = (error as OptionError).message;
    }
    expect(message.startsWith(named), message).toBe(true);
    expect(message).not.toContain("\n");
  });
});
