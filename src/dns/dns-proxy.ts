import { canonicalAddress, isLoopback } from "../config/compile/ip-address.ts";
import type { NameTable } from "../config/compile/name-table.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { ResolvConf } from "../core/resolv-conf.ts";
import type { TimerWheel } from "../core/timer-wheel.ts";
import type { Logger } from "../telemetry/log.ts";
import type { SeriesWriter } from "../telemetry/series-writer.ts";
import { DnsMetrics } from "./dns-metrics.ts";
import { Forwarder } from "./forwarder.ts";
import { NameResolver } from "./name-resolver.ts";
import { TcpEndpoint } from "./tcp-endpoint.ts";
import { UdpEndpoint } from "./udp-endpoint.ts";
import type { NameServer } from "./upstream-exchange.ts";

const DNS_PORT = 53;
/** Where captured queries arrive: the redirect goes to the loopback address of the family. */
const ADDRESSES = ["127.0.0.1", "::1"];
/** "Any free port" must be free four times; another one is tried when it is not. */
const PORT_TRIES = 20;
/** How binding fails on a host without IPv6. */
const NO_IPV6: ReadonlySet<string> = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT", "EINVAL"]);
/** Addresses that lead to the host itself when they are dialled. */
const UNSPECIFIED: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

export interface DnsProxyOptions {
  /** 0 is any port that is free by UDP and TCP. */
  readonly port: number;
  readonly resolvConf: ResolvConf;
  /** Port of the name servers; another than 53 in tests. */
  readonly serverPort?: number;
  /** Our own addresses besides loopback. */
  readonly ownAddresses: readonly string[];
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: SeriesWriter;
}

type Endpoint = UdpEndpoint | TcpEndpoint;

/**
 * The local resolver that captured DNS queries are redirected to (spec/01 1.9): answers for the names of the mesh,
 * forwards all others. On the control thread.
 */
export class DnsProxy {
  readonly #options: DnsProxyOptions;
  readonly #forwarder: Forwarder;
  readonly #resolver: NameResolver;
  #endpoints: Endpoint[] = [];

  constructor(options: DnsProxyOptions) {
    const { port, resolvConf, random, clock, timers, log } = options;
    const metrics = new DnsMetrics(options.metrics);
    this.#options = options;
    this.#forwarder = new Forwarder({ clock, timers, random, log, metrics });
    this.#resolver = new NameResolver({
      forwarder: this.#forwarder,
      searchDomain: resolvConf.searchDomains[0] ?? null,
      // Who listens on the port of DNS itself is the host's resolver; without it nothing could start.
      forwardsBeforeTable: port === DNS_PORT,
      random,
      metrics,
    });
  }

  /** Listens on the loopback addresses and resolves with the port. Rejects with Node's error, nothing left open. */
  async listen(): Promise<number> {
    for (let tries = PORT_TRIES; ; tries--) {
      try {
        const port = await this.#bind();
        this.#forwarder.useServers(this.#nameServers(port));
        return port;
      } catch (error) {
        await this.close();
        if (this.#options.port !== 0 || tries <= 1 || codeOf(error) !== "EADDRINUSE") throw error;
      }
    }
  }

  /** From now on this table counts, whole. Before the first, names are answered with SERVFAIL. */
  use(table: NameTable): void {
    this.#resolver.use(table);
  }

  async close(): Promise<void> {
    this.#forwarder.close();
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    this.#endpoints = [];
  }

  /** The same port by UDP and TCP on both families; a host without IPv6 does without. */
  async #bind(): Promise<number> {
    let { port } = this.#options;
    for (const address of ADDRESSES) {
      const endpoints = [new UdpEndpoint(this.#resolver, address), new TcpEndpoint(this.#resolver, this.#options.timers, address)];
      this.#endpoints.push(...endpoints);
      try {
        for (const endpoint of endpoints) port = await endpoint.listen(port);
      } catch (error) {
        if (address !== "::1" || !NO_IPV6.has(codeOf(error))) throw error;
      }
    }
    return port;
  }

  /** Those of resolv.conf, except for the one that is ourselves. */
  #nameServers(ownPort: number): NameServer[] {
    const { resolvConf, ownAddresses, log, serverPort = DNS_PORT } = this.#options;
    const own = new Set(ownAddresses.map(canonicalAddress));
    const isOwn = (address: string): boolean => isLoopback(address) || UNSPECIFIED.has(address) || own.has(address);
    const servers: NameServer[] = [];
    for (const nameServer of resolvConf.nameServers) {
      if (serverPort === ownPort && isOwn(canonicalAddress(nameServer))) log.warn("name server left out: it is this proxy itself", { server: nameServer });
      else servers.push({ address: nameServer, port: serverPort });
    }
    if (servers.length === 0) log.warn("resolv.conf names no name server: only names of the mesh are resolved");
    return servers;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
