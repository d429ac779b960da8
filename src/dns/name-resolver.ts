import type { NameTable } from "../config/compile/name-table.ts";
import type { Random } from "../core/random.ts";
import type { DnsMetrics } from "./dns-metrics.ts";
import { type DnsQuery, RCODE, readQuery, TYPE } from "./dns-query.ts";
import { addressReply, asksForAddresses, emptyReply, fittingReply, type Protocol, refusal } from "./dns-reply.ts";
import type { Forwarder } from "./forwarder.ts";
import { lookUpName } from "./name-lookup.ts";
import { shuffled } from "./shuffled.ts";

export interface NameResolverOptions {
  readonly forwarder: Forwarder;
  /** First search domain of resolv.conf; null without one. */
  readonly searchDomain: string | null;
  /** Forward before there is a table, for a host on which everybody depends on us. */
  readonly forwardsBeforeTable: boolean;
  readonly random: Random;
  readonly metrics: DnsMetrics;
}

/**
 * Decides what becomes of a query (spec/01 1.9): addresses of names the mesh knows come from the table, with the
 * authority of who made them up; everything else is put to the name servers as it came.
 */
export class NameResolver {
  readonly #options: NameResolverOptions;
  #table: NameTable | null = null;

  constructor(options: NameResolverOptions) {
    this.#options = options;
  }

  /** From now on this table counts, whole. */
  use(table: NameTable): void {
    this.#table = table;
    this.#options.metrics.names.set(table.size);
  }

  /**
   * Answers one message. `reply` is called once, now or later; with null when nothing must be sent.
   *
   * @param port the sender's.
   */
  answer(bytes: Buffer, protocol: Protocol, port: number, reply: (bytes: Buffer | null) => void): void {
    const { metrics, forwarder } = this.#options;
    metrics.requests.add(1);
    if (forwarder.stopLoop(protocol, port, bytes)) {
      metrics.drop("loop");
      reply(null);
      return;
    }
    const reading = readQuery(bytes);
    if (reading.kind === "query") {
      this.#answerQuery(reading.query, protocol, reply);
      return;
    }
    metrics.drop("malformed");
    reply(reading.kind === "refused" ? refusal(bytes, reading.rcode) : null);
  }

  #answerQuery(query: DnsQuery, protocol: Protocol, reply: (bytes: Buffer) => void): void {
    if (query.edns !== null && query.edns.version !== 0) {
      reply(emptyReply(query, RCODE.BADVERS));
      return;
    }
    const known = this.#fromTable(query, protocol);
    if (known === null) {
      this.#forward(query, protocol, reply);
      return;
    }
    this.#options.metrics.answered.add(1);
    reply(known);
  }

  #fromTable(query: DnsQuery, protocol: Protocol): Buffer | null {
    if (this.#table === null || query.hostName === null || !asksForAddresses(query)) return null;
    const match = lookUpName(this.#table, query.hostName, this.#options.searchDomain);
    if (match === null) return null;
    const own = query.type === TYPE.A ? match.addresses.v4 : match.addresses.v6;
    return addressReply(query, { alias: match.alias, addresses: shuffled(own, this.#options.random) }, protocol);
  }

  #forward(query: DnsQuery, protocol: Protocol, reply: (bytes: Buffer) => void): void {
    const { forwarder, metrics, forwardsBeforeTable } = this.#options;
    if (this.#table === null && !forwardsBeforeTable) {
      metrics.drop("not_ready");
      reply(emptyReply(query, RCODE.SERVFAIL));
      return;
    }
    // A zone transfer is many messages; nobody's application does one.
    if (query.type === TYPE.AXFR || query.type === TYPE.IXFR) {
      reply(emptyReply(query, RCODE.REFUSED));
      return;
    }
    if (!forwarder.hasRoom) {
      metrics.drop("overload");
      reply(emptyReply(query, RCODE.SERVFAIL));
      return;
    }
    forwarder.forward(query, protocol, (answer) => {
      if (answer === null) {
        reply(emptyReply(query, RCODE.SERVFAIL));
        return;
      }
      metrics.forwarded.add(1);
      reply(fittingReply(query, answer, protocol));
    });
  }
}
