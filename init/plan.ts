import type { CaptureOptions } from "./capture-options.ts";
import type { Cidr } from "./cidr.ts";
import type { Rule, Table } from "./rule.ts";

/** Rules of both address families, in the order they are to be installed. */
export interface CapturePlan {
  readonly v4: readonly Rule[];
  /** Null when IPv6 is not captured. */
  readonly v6: readonly Rule[] | null;
  /** What the operator should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** Port of the DNS listener that captured queries are sent to. */
const dnsPort = "15053";

/** What differs between the two families. */
interface FamilyFacts {
  readonly family: 4 | 6;
  readonly loopback: string;
  /** Source address of connections the proxy makes to its own application; see table 1.5 of spec/01-capture. */
  readonly passThroughSource: string;
  readonly hostBits: 32 | 128;
  readonly dnsServers: readonly string[];
}

/**
 * The capture rules of REDIRECT mode (spec/01-capture 1.4, 1.6, 1.9). Pure: the same options give the same rules,
 * and the order is the meaning, since the first rule that matches decides.
 */
export function plan(options: CaptureOptions): CapturePlan {
  const warnings: string[] = [];
  const hasServers = options.dnsServersV4.length + options.dnsServersV6.length > 0;
  const withDns = options.redirectDns && (options.captureAllDns || hasServers);
  if (options.redirectDns && !withDns) {
    warnings.push("DNS is not captured: resolv.conf names no server, and --capture-all-dns is not given");
  }
  const v4 = new FamilyPlan(
    {
      family: 4,
      loopback: options.loopbackCidr,
      passThroughSource: "127.0.0.6/32",
      hostBits: 32,
      dnsServers: options.dnsServersV4,
    },
    options,
    withDns,
  );
  const v6 = new FamilyPlan(
    { family: 6, loopback: "::1/128", passThroughSource: "::6/128", hostBits: 128, dnsServers: options.dnsServersV6 },
    options,
    withDns,
  );
  return { v4: v4.rules(), v6: options.ipv6 ? v6.rules() : null, warnings };
}

class FamilyPlan {
  readonly #facts: FamilyFacts;
  readonly #options: CaptureOptions;
  readonly #withDns: boolean;
  readonly #rules: Rule[] = [];

  constructor(facts: FamilyFacts, options: CaptureOptions, withDns: boolean) {
    this.#facts = facts;
    this.#options = options;
    this.#withDns = withDns;
  }

  rules(): readonly Rule[] {
    this.#interfaces();
    this.#invalidPackets();
    this.#fixed();
    this.#inbound();
    this.#outboundExclusions();
    for (const uid of this.#options.proxyUids) this.#proxyOwner("--uid-owner", uid);
    for (const gid of this.#options.proxyGids) this.#proxyOwner("--gid-owner", gid);
    this.#ownerGroups();
    if (this.#withDns) this.#dns();
    this.#outboundDestinations();
    return this.#rules;
  }

  #append(table: Table, chain: string, ...words: string[]): void {
    this.#rules.push({ table, chain, position: null, words });
  }

  #insertFirst(table: Table, chain: string, ...words: string[]): void {
    this.#rules.push({ table, chain, position: 1, words });
  }

  #interfaces(): void {
    for (const name of this.#options.excludedInterfaces) {
      this.#append("nat", "PREROUTING", "-i", name, "-j", "RETURN");
      this.#append("nat", "OUTPUT", "-o", name, "-j", "RETURN");
    }
    for (const name of this.#options.virtualInterfaces) {
      this.#insertFirst("nat", "PREROUTING", "-i", name, "-j", "RETURN");
    }
  }

  #invalidPackets(): void {
    if (!this.#options.dropInvalid) return;
    this.#append("mangle", "PREROUTING", "-m", "conntrack", "--ctstate", "INVALID", "-j", "ISTIO_DROP");
    this.#append("mangle", "ISTIO_DROP", "-j", "DROP");
  }

  #fixed(): void {
    const { tunnelPort, outboundPort, inboundPort } = this.#options;
    this.#append("nat", "ISTIO_INBOUND", "-p", "tcp", "--dport", `${tunnelPort}`, "-j", "RETURN");
    this.#append("nat", "ISTIO_REDIRECT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", `${outboundPort}`);
    this.#append("nat", "ISTIO_IN_REDIRECT", "-p", "tcp", "-j", "REDIRECT", "--to-ports", `${inboundPort}`);
  }

  #inbound(): void {
    const { inboundPorts, inboundExcludedPorts } = this.#options;
    if (inboundPorts !== "*" && inboundPorts.length === 0) return;
    this.#append("nat", "PREROUTING", "-p", "tcp", "-j", "ISTIO_INBOUND");
    if (inboundPorts !== "*") {
      for (const port of inboundPorts) {
        this.#append("nat", "ISTIO_INBOUND", "-p", "tcp", "--dport", `${port}`, "-j", "ISTIO_IN_REDIRECT");
      }
      return;
    }
    for (const port of inboundExcludedPorts) {
      this.#append("nat", "ISTIO_INBOUND", "-p", "tcp", "--dport", `${port}`, "-j", "RETURN");
    }
    this.#append("nat", "ISTIO_INBOUND", "-p", "tcp", "-j", "ISTIO_IN_REDIRECT");
  }

  #outboundExclusions(): void {
    // No protocol here: UDP enters too, for the excluded ports and DNS; the redirecting chain itself takes only TCP.
    this.#append("nat", "OUTPUT", "-j", "ISTIO_OUTPUT");
    for (const port of this.#options.outboundExcludedPorts) {
      this.#append("nat", "ISTIO_OUTPUT", "-p", "tcp", "--dport", `${port}`, "-j", "RETURN");
      this.#append("nat", "ISTIO_OUTPUT", "-p", "udp", "--dport", `${port}`, "-j", "RETURN");
    }
    this.#append("nat", "ISTIO_OUTPUT", "-o", "lo", "-s", this.#facts.passThroughSource, "-j", "RETURN");
  }

  /** Rules (a), (b) and (c) of spec/01-capture 1.4 for one user or group of the proxy. */
  #proxyOwner(option: "--uid-owner" | "--gid-owner", owner: string): void {
    const { tunnelPort, includedCidrs } = this.#options;
    // (a) The proxy dials its own pod by address: that is a self-call, inbound policy applies to it. The user's form
    // also leaves DNS alone, so that a query the proxy forwards to a local server does not come back inbound.
    const notThesePorts =
      this.#withDns && option === "--uid-owner"
        ? ["-m", "multiport", "!", "--dports", `53,${tunnelPort}`]
        : ["!", "--dport", `${tunnelPort}`];
    const toOwnPod = ["-o", "lo", "!", "-d", this.#facts.loopback, "-p", "tcp", ...notThesePorts];
    this.#append("nat", "ISTIO_OUTPUT", ...toOwnPod, "-m", "owner", option, owner, "-j", "ISTIO_IN_REDIRECT");
    // (b) The application talks to itself over lo: left alone, unless the operator asked for a loopback range.
    if (includedCidrs === "*" || !includedCidrs.some((cidr) => cidr.isLoopback)) {
      const notDns = this.#withDns ? ["-p", "tcp", "!", "--dport", "53"] : [];
      this.#append("nat", "ISTIO_OUTPUT", "-o", "lo", ...notDns, "-m", "owner", "!", option, owner, "-j", "RETURN");
    }
    // (c) Anything else the proxy sends goes out as it is, or it would be captured again without end.
    this.#append("nat", "ISTIO_OUTPUT", "-m", "owner", option, owner, "-j", "RETURN");
  }

  #ownerGroups(): void {
    const { ownerGroups, excludedOwnerGroups } = this.#options;
    if (ownerGroups === "*") {
      for (const group of excludedOwnerGroups) {
        this.#append("nat", "ISTIO_OUTPUT", "-m", "owner", "--gid-owner", group, "-j", "RETURN");
      }
      return;
    }
    const inNone = ownerGroups.flatMap((group) => ["-m", "owner", "!", "--gid-owner", group]);
    this.#append("nat", "ISTIO_OUTPUT", ...inNone, "-j", "RETURN");
  }

  #dns(): void {
    const { captureAllDns } = this.#options;
    const { dnsServers, hostBits } = this.#facts;
    this.#append("raw", "OUTPUT", "-j", "ISTIO_OUTPUT_DNS");
    if (captureAllDns || dnsServers.length > 0) this.#append("nat", "ISTIO_OUTPUT", "-j", "ISTIO_OUTPUT_DNS");
    // One rule for each known server, or one open rule when every query is captured.
    const servers = captureAllDns ? [null] : dnsServers;
    const only = (option: "-d" | "-s", server: string | null): string[] =>
      server === null ? [] : [option, `${server}/${hostBits}`];
    for (const server of servers) {
      const match = ["-p", "tcp", "--dport", "53", ...only("-d", server)];
      this.#append("nat", "ISTIO_OUTPUT_DNS", ...match, "-j", "REDIRECT", "--to-ports", dnsPort);
    }
    for (const server of servers) {
      const match = ["-p", "udp", "--dport", "53", ...only("-d", server)];
      this.#append("nat", "ISTIO_OUTPUT_DNS", ...match, "-j", "REDIRECT", "--to-port", dnsPort);
    }
    this.#dnsZones();
    if (servers.length > 0) this.#append("raw", "PREROUTING", "-j", "ISTIO_INBOUND");
    for (const server of servers) {
      const query = ["-p", "udp", "--dport", "53", ...only("-d", server)];
      const answer = ["-p", "udp", "--sport", "53", ...only("-s", server)];
      this.#append("raw", "ISTIO_OUTPUT_DNS", ...query, "-j", "CT", "--zone", "2");
      this.#append("raw", "ISTIO_INBOUND", ...answer, "-j", "CT", "--zone", "1");
    }
  }

  /** The proxy's own queries get a conntrack zone of their own, lest they collide with the application's (1.9). */
  #dnsZones(): void {
    const owners = [
      ...this.#options.proxyUids.map((uid) => ["-m", "owner", "--uid-owner", uid]),
      ...this.#options.proxyGids.map((gid) => ["-m", "owner", "--gid-owner", gid]),
    ];
    for (const owner of owners) {
      this.#append("raw", "ISTIO_OUTPUT_DNS", "-p", "udp", "--dport", "53", ...owner, "-j", "CT", "--zone", "1");
      this.#append("raw", "ISTIO_OUTPUT_DNS", "-p", "udp", "--sport", dnsPort, ...owner, "-j", "CT", "--zone", "2");
    }
  }

  #outboundDestinations(): void {
    const { excludedCidrs, outboundPorts, includedCidrs, virtualInterfaces } = this.#options;
    const ours = (cidr: Cidr): boolean => cidr.family === this.#facts.family;
    this.#append("nat", "ISTIO_OUTPUT", "-d", this.#facts.loopback, "-j", "RETURN");
    for (const cidr of excludedCidrs.filter(ours)) {
      this.#append("nat", "ISTIO_OUTPUT", "-d", cidr.text, "-j", "RETURN");
    }
    for (const port of outboundPorts) {
      this.#append("nat", "ISTIO_OUTPUT", "-p", "tcp", "--dport", `${port}`, "-j", "ISTIO_REDIRECT");
    }
    if (includedCidrs === "*") {
      this.#append("nat", "ISTIO_OUTPUT", "-j", "ISTIO_REDIRECT");
      for (const name of virtualInterfaces) this.#insertFirst("nat", "PREROUTING", "-i", name, "-j", "ISTIO_REDIRECT");
      return;
    }
    for (const cidr of includedCidrs.filter(ours)) {
      for (const name of virtualInterfaces) {
        this.#insertFirst("nat", "PREROUTING", "-i", name, "-d", cidr.text, "-j", "ISTIO_REDIRECT");
      }
      this.#append("nat", "ISTIO_OUTPUT", "-d", cidr.text, "-j", "ISTIO_REDIRECT");
    }
  }
}
