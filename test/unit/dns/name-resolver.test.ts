import { decode } from "dns-packet";
import { expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DnsMetrics } from "../../../src/dns/dns-metrics.ts";
import { Forwarder } from "../../../src/dns/forwarder.ts";
import { NameResolver } from "../../../src/dns/name-resolver.ts";
import { Logger } from "../../../src/telemetry/log.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { queryBytes } from "./queries.ts";

/** What becomes of a query before there is a table: forwarded (to nobody, here), or not. */
it.each([
  { forwardsBeforeTable: false, forwarded: 0 },
  { forwardsBeforeTable: true, forwarded: 1 },
])("before the first table, forwardsBeforeTable: $forwardsBeforeTable", ({ forwardsBeforeTable, forwarded }) => {
  const timers = new TimerWheel(systemClock, { isDriven: true });
  const metrics = new DnsMetrics(new SeriesWriter(() => undefined));
  const log = new Logger({ write: () => undefined }, systemClock, timers);
  const forwarder = new Forwarder({ clock: systemClock, timers, random: () => 0, log, metrics });
  const resolver = new NameResolver({ forwarder, searchDomain: null, forwardsBeforeTable, random: () => 0, metrics });
  const replies: (Buffer | null)[] = [];
  resolver.answer(queryBytes("elsewhere.example"), "udp", 4242, (reply) => replies.push(reply));
  expect(replies.map((reply) => reply && (decode(reply) as unknown as { rcode: string }).rcode)).toEqual(["SERVFAIL"]);
  expect(metrics.upstreamRequests.value).toBe(forwarded);
  expect(metrics.requests.value).toBe(1);
});
