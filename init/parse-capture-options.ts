import { isIPv4, isIPv6 } from "node:net";

import type { CaptureOptions } from "./capture-options.ts";
import type { CaptureFlagName, CaptureFlagValues } from "./capture-flags.ts";
import { captureFlags } from "./capture-flags.ts";
import { type Cidr, parseCidr } from "./cidr.ts";
import type { HostFacts } from "./host-facts.ts";
import { OptionError } from "./option-error.ts";

/** Owner groups become one rule, and iptables bounds the matches of a rule (spec/01-capture 1.2). */
const maxOwnerGroups = 64;

/**
 * Text to typed options. What the host says fills in the rest: the proxy's user, the DNS servers, whether there is
 * IPv6 to capture. Throws `OptionError`, which names the flag, at the first value that cannot be obeyed: a rule that
 * silently does less than asked would leave traffic outside the mesh.
 */
export function parseCaptureOptions(values: CaptureFlagValues, host: HostFacts): CaptureOptions {
  checkMode(values["istio-inbound-interception-mode"]);
  const uids = owners(values, "proxy-uid");
  const proxyUids = uids.length > 0 ? uids : [host.proxyUid ?? "1337"];
  const gids = owners(values, "proxy-gid");
  return {
    outboundPort: onePort(values, "envoy-port"),
    inboundPort: onePort(values, "inbound-capture-port"),
    tunnelPort: onePort(values, "inbound-tunnel-port"),
    proxyUids,
    proxyGids: gids.length > 0 ? gids : proxyUids,
    inboundPorts: values["istio-inbound-ports"].trim() === "*" ? "*" : ports(values, "istio-inbound-ports"),
    inboundExcludedPorts: ports(values, "istio-local-exclude-ports"),
    excludedInterfaces: interfaces(values, "istio-exclude-interfaces"),
    virtualInterfaces: interfaces(values, "kube-virt-interfaces"),
    includedCidrs: values["istio-service-cidr"].trim() === "*" ? "*" : cidrs(values, "istio-service-cidr"),
    excludedCidrs: cidrs(values, "istio-service-exclude-cidr"),
    outboundPorts: ports(values, "istio-outbound-ports"),
    outboundExcludedPorts: ports(values, "istio-local-outbound-ports-exclude"),
    ownerGroups: ownerGroups(values),
    excludedOwnerGroups: owners(values, "outbound-owner-groups-exclude"),
    redirectDns: isOn(values, "redirect-dns"),
    captureAllDns: isOn(values, "capture-all-dns"),
    dnsServersV4: host.dnsServers.filter((server) => isIPv4(server)),
    dnsServersV6: host.dnsServers.filter((server) => isIPv6(server)),
    dropInvalid: isOn(values, "drop-invalid"),
    loopbackCidr: loopback(values),
    ipv6: capturesIpv6(host.addresses, isOn(values, "dual-stack")),
  };
}

/** A switch's value; `true`, `1`, `false` and `0` are understood, as in Istio's environment. */
export function isOn(values: CaptureFlagValues, name: CaptureFlagName): boolean {
  const text = values[name].trim().toLowerCase();
  if (text === "true" || text === "1" || text === "t") return true;
  if (text === "false" || text === "0" || text === "f" || text === "") return false;
  throw fault(name, values[name], "is neither true nor false");
}

/**
 * Whether IPv6 gets rules (spec/01-capture 1.6): the pod's first address decides, or with dual stack any.
 * `addresses` are those of the host that are neither loopback nor link-local.
 */
function capturesIpv6(addresses: readonly string[], dualStack: boolean): boolean {
  return dualStack ? addresses.some((address) => isIPv6(address)) : isIPv6(addresses[0] ?? "");
}

function checkMode(text: string): void {
  const mode = text.trim();
  if (mode === "" || mode === "REDIRECT") return;
  const why =
    mode === "TPROXY"
      ? "is not supported: it needs IP_TRANSPARENT sockets, which Node does not offer; use REDIRECT"
      : "is not an interception mode; use REDIRECT";
  throw fault("istio-inbound-interception-mode", text, why);
}

function list(values: CaptureFlagValues, name: CaptureFlagName): string[] {
  return values[name]
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function onePort(values: CaptureFlagValues, name: CaptureFlagName): number {
  return port(values[name].trim(), name);
}

function ports(values: CaptureFlagValues, name: CaptureFlagName): number[] {
  return list(values, name).map((item) => port(item, name));
}

function port(text: string, name: CaptureFlagName): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number < 1 || number > 65535) throw fault(name, text, "is not a port from 1 to 65535");
  return number;
}

function owners(values: CaptureFlagValues, name: CaptureFlagName): string[] {
  return list(values, name).map((item) => {
    if (/^\d{1,10}$/.test(item) && Number(item) <= 0xffff_fffe) return item;
    if (/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(item)) return item;
    throw fault(name, item, "is neither a number nor a name");
  });
}

function ownerGroups(values: CaptureFlagValues): "*" | string[] {
  const name = "outbound-owner-groups";
  if (values[name].trim() === "*") return "*";
  const groups = owners(values, name);
  if (groups.length > maxOwnerGroups) {
    throw new OptionError(`${spelling(name)}: ${groups.length} groups are more than iptables takes in one rule, ${maxOwnerGroups}`);
  }
  return groups;
}

function interfaces(values: CaptureFlagValues, name: CaptureFlagName): string[] {
  return list(values, name).map((item) => {
    // IFNAMSIZ is 16 with the closing zero; a final plus sign is iptables' wildcard.
    if (/^[A-Za-z0-9_.:@-]{1,15}\+?$/.test(item) && item.length <= 15 && !item.startsWith("-")) return item;
    throw fault(name, item, "is not the name of a network interface");
  });
}

function cidrs(values: CaptureFlagValues, name: CaptureFlagName): Cidr[] {
  return list(values, name).map((item) => {
    const cidr = parseCidr(item);
    if (cidr !== null) return cidr;
    const why = item === "*" ? "is not allowed here: a list of ranges is" : "is not a range such as 10.0.0.0/8 or 2001:db8::/32";
    throw fault(name, item, why);
  });
}

function loopback(values: CaptureFlagValues): string {
  const name = "outbound-ipv4-loopback-cidr";
  const cidr = parseCidr(values[name].trim());
  if (cidr === null || cidr.family !== 4 || !cidr.isLoopback || cidr.prefixBits < 8) {
    throw fault(name, values[name], "is not a range within 127.0.0.0/8");
  }
  return cidr.text;
}

function fault(name: CaptureFlagName, value: string, why: string): OptionError {
  return new OptionError(`${spelling(name)}: ${JSON.stringify(value)} ${why}`);
}

/** How the operator may have written the flag: every name it goes by. */
function spelling(name: CaptureFlagName): string {
  const flag = captureFlags.find((candidate) => candidate.name === name);
  const short = flag !== undefined && "short" in flag ? ` (-${flag.short})` : "";
  return `--${name}${short}`;
}
