import type { Clock } from "../core/clock.ts";
import type { SeriesReader } from "./series-reader.ts";
import type { SeriesWriter } from "./series-writer.ts";
import type { Counter, Gauge } from "./series.ts";

export type ServerState = "live" | "draining" | "pre-initializing" | "initializing";

/** What the control thread tells of the process; asked at each scrape. */
export interface ServerFacts {
  readonly version: string;
  /** Data threads. */
  readonly concurrency: number;
  state(): ServerState;
  /** notAfter of every certificate of our own, milliseconds since the epoch, by resource name (`default`). */
  certificateExpiries(): ReadonlyMap<string, number>;
  /** Log lines dropped so far on this thread. */
  droppedLogLines(): number;
}

/** Envoy's numbers for `envoy_server_state`. */
const STATE_NUMBERS: Readonly<Record<ServerState, number>> = { "live": 0, "draining": 1, "pre-initializing": 2, "initializing": 3 };
const DAY_MS = 86_400_000;

/**
 * `envoy_server_*`, `istio_build` and `istio_agent_cert_expiry_seconds` (spec/06 6.1 and 6.3), brought up to date
 * when they are scraped. `writer` is the control thread's own.
 */
export class ServerMetrics {
  readonly #writer: SeriesWriter;
  readonly #facts: ServerFacts;
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #live: Gauge;
  readonly #state: Gauge;
  readonly #uptime: Gauge;
  readonly #allocated: Gauge;
  readonly #heapSize: Gauge;
  readonly #physicalSize: Gauge;
  readonly #droppedLogLines: Counter;

  constructor(reader: SeriesReader, writer: SeriesWriter, facts: ServerFacts, clock: Clock) {
    this.#writer = writer;
    this.#facts = facts;
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
    writer.gauge("istio_build", { component: "proxy", tag: facts.version }, "Version of the proxy").set(1);
    writer.gauge("envoy_server_concurrency", {}, "Data threads").set(facts.concurrency);
    this.#live = writer.gauge("envoy_server_live", {}, "1 while the proxy neither starts nor drains");
    this.#state = writer.gauge("envoy_server_state", {}, "0 live, 1 draining, 2 pre-initializing, 3 initializing");
    this.#uptime = writer.gauge("envoy_server_uptime", {}, "Seconds since the process started to serve");
    this.#allocated = writer.gauge("envoy_server_memory_allocated", {}, "Bytes in use by JavaScript and its buffers, control thread");
    this.#heapSize = writer.gauge("envoy_server_memory_heap_size", {}, "Bytes reserved for the JavaScript heap, control thread");
    this.#physicalSize = writer.gauge("envoy_server_memory_physical_size", {}, "Resident bytes of the process");
    this.#droppedLogLines = writer.counter("outrider_log_dropped_lines_total", {}, "Log lines dropped because nobody took them");
    reader.beforeScrape(() => this.#refresh());
  }

  #refresh(): void {
    const state = this.#facts.state();
    this.#live.set(state === "live" ? 1 : 0);
    this.#state.set(STATE_NUMBERS[state]);
    this.#uptime.set(Math.floor((this.#clock.monotonicMs() - this.#startedAtMs) / 1000));
    const memory = process.memoryUsage();
    this.#allocated.set(memory.heapUsed + memory.external);
    this.#heapSize.set(memory.heapTotal);
    this.#physicalSize.set(memory.rss);
    this.#droppedLogLines.add(this.#facts.droppedLogLines() - this.#droppedLogLines.value);
    this.#refreshCertificates();
  }

  #refreshCertificates(): void {
    const nowMs = this.#clock.wallMs();
    let firstMs = Infinity;
    for (const [name, expiresAtMs] of this.#facts.certificateExpiries()) {
      firstMs = Math.min(firstMs, expiresAtMs);
      this.#writer.gauge("istio_agent_cert_expiry_seconds", { resource_name: name }, "Seconds until the certificate expires, negative when it has")
        .set((expiresAtMs - nowMs) / 1000);
    }
    if (firstMs === Infinity) return;
    this.#writer.gauge("envoy_server_days_until_first_cert_expiring", {}, "Whole days until the first certificate expires")
      .set(Math.max(0, Math.floor((firstMs - nowMs) / DAY_MS)));
  }
}
