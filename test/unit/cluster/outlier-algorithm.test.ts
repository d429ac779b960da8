import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Endpoint } from "../../../src/cluster/endpoint.ts";
import { NO_CLUSTER_METRICS } from "../../../src/cluster/cluster-metrics.ts";
import { OutlierDetector } from "../../../src/cluster/outlier-detector.ts";
import type { OutlierSpec } from "../../../src/config/snapshot.ts";
import { endpointSpec, ManualTime } from "./fakes.ts";

/* The detector against the algorithm of spec/04 4.5 as the page has it, step by step, with time held. */

type Event =
  | { readonly kind: "status"; readonly host: number; readonly status: number }
  | { readonly kind: "failure"; readonly host: number; readonly isTimeout: boolean }
  | { readonly kind: "connected"; readonly host: number }
  | { readonly kind: "wait"; readonly seconds: number };

interface Host {
  c5xx: number;
  cgw: number;
  clocal: number;
  ejectedAt: number | null;
  ejections: number;
}

/** Slow and plain: a transcript of the page, and our rule that the last healthy host stays. */
class Reference {
  readonly hosts: Host[];
  readonly #spec: OutlierSpec;
  #now = 0;

  constructor(count: number, spec: OutlierSpec) {
    this.#spec = spec;
    this.hosts = Array.from({ length: count }, () => ({ c5xx: 0, cgw: 0, clocal: 0, ejectedAt: null, ejections: 0 }));
  }

  apply(event: Event): void {
    if (event.kind === "wait") {
      for (let second = 0; second < event.seconds; second++) {
        this.#now += 1_000;
        if (this.#now % this.#spec.intervalMs === 0) this.#sweep();
      }
      return;
    }
    const host = this.hosts[event.host] as Host;
    const local = this.#spec.consecutiveLocalOriginFailures;
    if (event.kind === "status") {
      const codes = this.#spec.errorStatuses;
      this.#result(host, codes === undefined ? event.status >= 500 : codes.includes(event.status), [502, 503, 504].includes(event.status));
    } else if (event.kind === "connected") {
      if (local === undefined) this.#result(host, false, false);
      else host.clocal = 0;
    } else if (local === undefined) {
      this.#result(host, true, true);
    } else if (++host.clocal >= local && local > 0 && this.#eject(host)) {
      host.clocal = 0;
    }
  }

  #result(host: Host, isError: boolean, isGateway: boolean): void {
    if (!isError) host.c5xx = 0;
    else if (++host.c5xx >= this.#spec.consecutive5xx && this.#spec.consecutive5xx > 0 && this.#eject(host)) host.c5xx = 0;
    if (!isGateway) host.cgw = 0;
    else if (++host.cgw >= this.#spec.consecutiveGatewayErrors && this.#spec.consecutiveGatewayErrors > 0 && this.#eject(host)) host.cgw = 0;
  }

  /** True when there was something to decide. */
  #eject(host: Host): boolean {
    if (host.ejectedAt !== null) return false;
    const ejectedNow = this.hosts.filter(({ ejectedAt }) => ejectedAt !== null).length;
    if (Math.floor((100 * (ejectedNow + 1)) / this.hosts.length) > this.#spec.maxEjectionPercent) return true;
    if (ejectedNow === this.hosts.length - 1) return true;
    host.ejectedAt = this.#now;
    host.ejections++;
    return true;
  }

  #sweep(): void {
    for (const host of this.hosts) {
      const duration = Math.min(this.#spec.baseEjectionMs * host.ejections, Math.max(300_000, this.#spec.baseEjectionMs));
      if (host.ejectedAt !== null && this.#now >= host.ejectedAt + duration) {
        Object.assign(host, { ejectedAt: null, c5xx: 0, cgw: 0, clocal: 0 });
      } else if (host.ejectedAt === null && host.ejections > 0) {
        host.ejections--;
      }
    }
  }
}

class Detected {
  readonly endpoints: Endpoint[];
  readonly events: string[] = [];
  readonly probed: Endpoint[] = [];
  readonly detector: OutlierDetector;
  readonly #time = new ManualTime();

  constructor(count: number, spec: OutlierSpec) {
    this.endpoints = Array.from({ length: count }, (_, index) => new Endpoint(endpointSpec(`10.0.0.${index + 1}`), 0));
    const subject = { endpoints: this.endpoints, healthChanged: () => {}, wantProbe: (endpoint: Endpoint) => {
      endpoint.outlier.probe = "wanted";
      this.probed.push(endpoint);
    } };
    this.detector = new OutlierDetector("c", spec, subject, NO_CLUSTER_METRICS, {
      clock: this.#time, timers: this.#time.timers, outliers: { outlier: ({ kind, reason }) => this.events.push(`${kind}: ${reason}`) },
    });
  }

  apply(event: Event): void {
    if (event.kind === "wait") return this.#time.pass(event.seconds * 1_000);
    const endpoint = this.endpoints[event.host] as Endpoint;
    if (event.kind === "status") this.detector.report(endpoint, event.status);
    else if (event.kind === "failure") this.detector.reportFailure(endpoint, event.isTimeout);
    else this.detector.reportConnected(endpoint);
  }

  state(): Pick<Host, "c5xx" | "cgw" | "clocal" | "ejections">[] {
    return this.endpoints.map(({ outlier }) => ({ c5xx: outlier.consecutive5xx, cgw: outlier.consecutiveGatewayErrors, clocal: outlier.consecutiveLocalFailures, ejections: outlier.ejections }));
  }

  ejected(): boolean[] {
    return this.endpoints.map((endpoint) => endpoint.isEjected);
  }
}

const BASE: OutlierSpec = { consecutive5xx: 5, consecutiveGatewayErrors: 0, intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionPercent: 100, minHealthPercent: 0 };

const specs = fc.record({
  consecutive5xx: fc.integer({ min: 0, max: 4 }),
  consecutiveGatewayErrors: fc.integer({ min: 0, max: 3 }),
  intervalMs: fc.constantFrom(1_000, 3_000, 10_000),
  baseEjectionMs: fc.constantFrom(1_000, 5_000, 30_000, 400_000),
  maxEjectionPercent: fc.integer({ min: 0, max: 100 }),
  minHealthPercent: fc.constant(0),
  local: fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }),
  codes: fc.option(fc.uniqueArray(fc.constantFrom(200, 404, 429, 500, 503), { minLength: 1 }), { nil: undefined }),
}).map(({ local, codes, ...spec }): OutlierSpec => ({
  ...spec, ...(local === undefined ? {} : { consecutiveLocalOriginFailures: local }), ...(codes === undefined ? {} : { errorStatuses: codes }),
}));
const eventOf = (count: number): fc.Arbitrary<Event> => {
  const host = fc.integer({ min: 0, max: count - 1 });
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("status" as const), host, status: fc.constantFrom(200, 404, 429, 500, 502, 503, 504) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("failure" as const), host, isTimeout: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("connected" as const), host }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 45 }) }) },
  );
};

describe("the algorithm of spec/04 4.5", () => {
  it("ejects, keeps and restores as the page does, whatever happens", () => {
    const runs = fc.integer({ min: 1, max: 6 }).chain((count) => fc.tuple(fc.constant(count), specs, fc.array(eventOf(count), { maxLength: 60 })));
    fc.assert(fc.property(runs, ([count, spec, events]) => {
      const reference = new Reference(count, spec);
      const detected = new Detected(count, spec);
      for (const event of events) {
        reference.apply(event);
        detected.apply(event);
        expect(detected.ejected()).toEqual(reference.hosts.map(({ ejectedAt }) => ejectedAt !== null));
      }
      expect(detected.state()).toEqual(reference.hosts.map(({ ejectedAt: _, ...host }) => host));
    }), { numRuns: 400 });
  });
});

/** `500 timeout refused connected 10s`, all of the first of three hosts. */
function run(spec: Partial<OutlierSpec>, script: string): Detected {
  const detected = new Detected(3, { ...BASE, ...spec });
  for (const word of script.split(" ")) {
    if (word === "timeout" || word === "refused") detected.apply({ kind: "failure", host: 0, isTimeout: word === "timeout" });
    else if (word === "connected") detected.apply({ kind: "connected", host: 0 });
    else if (word.endsWith("s")) detected.apply({ kind: "wait", seconds: Number.parseInt(word, 10) });
    else detected.apply({ kind: "status", host: 0, status: Number(word) });
  }
  return detected;
}

describe("splitExternalLocalOriginErrors (spec/04 4.4)", () => {
  it.each<[string, Partial<OutlierSpec>, string, boolean]>([
    ["without it a failed connect is a 503", { consecutive5xx: 2 }, "500 refused", true],
    ["without it a time-out is a gateway error", { consecutive5xx: 0, consecutiveGatewayErrors: 2 }, "timeout timeout", true],
    ["with it neither counts as an answer", { consecutive5xx: 2, consecutiveLocalOriginFailures: 5 }, "500 refused timeout", false],
    ["nor does it interrupt a row of answers", { consecutive5xx: 2, consecutiveLocalOriginFailures: 5 }, "500 refused 500", true],
    ["failures have a threshold of their own", { consecutiveLocalOriginFailures: 3 }, "refused timeout refused", true],
    ["one that succeeds starts them anew", { consecutiveLocalOriginFailures: 3 }, "refused refused connected refused", false],
    ["a bad answer does not", { consecutiveLocalOriginFailures: 3 }, "refused refused 500 refused", true],
    ["0 is never", { consecutiveLocalOriginFailures: 0 }, "refused refused refused refused refused refused", false],
    ["a connection alone is a success of TCP, without the split", { consecutive5xx: 2 }, "refused connected refused", false],
  ])("%s", (_, spec, script, isEjected) => {
    expect(run(spec, script).ejected()[0]).toBe(isEjected);
  });

  it("says so", () => {
    expect(run({ consecutiveLocalOriginFailures: 2 }, "refused refused").events[0]).toMatch(/^ejected: 2 consecutive failures to connect; 1 of 3 ejected/);
  });
});

describe("outlierDetectionHttpErrorCodes (spec/04 4.4)", () => {
  it.each<[string, readonly number[], string, boolean]>([
    ["a listed status is an error", [429], "429 429", true],
    ["one that is not listed is none, even 500", [429], "500 500 500", false],
    ["and starts the row anew", [429], "429 500 429", false],
    ["failures to connect count all the same", [429], "429 refused", true],
  ])("%s", (_, errorStatuses, script, isEjected) => {
    expect(run({ consecutive5xx: 2, errorStatuses }, script).ejected()[0]).toBe(isEjected);
  });

  it("gateway errors are counted by their statuses, listed or not", () => {
    expect(run({ consecutiveGatewayErrors: 2, errorStatuses: [429] }, "503 502").ejected()[0]).toBe(true);
  });
});

describe("re-admission by a probe", () => {
  const PROBED: Partial<OutlierSpec> = { consecutive5xx: 1, readmitsByProbe: true };

  it("waits for its time, then asks for one request, and stays out until that was answered", () => {
    const detected = run(PROBED, "500 29s");
    expect(detected.probed).toEqual([]);
    detected.apply({ kind: "wait", seconds: 1 });
    expect(detected.probed).toEqual([detected.endpoints[0]]);
    expect(detected.ejected()[0]).toBe(true);
  });

  it.each<[string, string, boolean]>([
    ["an answer that is no error", "200", false],
    ["an error", "503", true],
    ["a connection that fails", "refused", true],
    ["an opaque connection that is established", "connected", false],
  ])("%s decides", (_, word, isEjected) => {
    const detected = run(PROBED, "500 30s");
    (detected.endpoints[0] as Endpoint).outlier.probe = "out";
    if (word === "refused") detected.apply({ kind: "failure", host: 0, isTimeout: false });
    else if (word === "connected") detected.apply({ kind: "connected", host: 0 });
    else detected.apply({ kind: "status", host: 0, status: Number(word) });
    expect(detected.ejected()[0]).toBe(isEjected);
  });

  it("one that fails goes away for twice the time, and then for three times", () => {
    const detected = run(PROBED, "500 30s");
    const endpoint = detected.endpoints[0] as Endpoint;
    endpoint.outlier.probe = "out";
    detected.apply({ kind: "status", host: 0, status: 500 });
    expect(endpoint.outlier).toMatchObject({ ejections: 2, probe: null });
    detected.apply({ kind: "wait", seconds: 59 });
    expect(detected.probed.length).toBe(1);
    detected.apply({ kind: "wait", seconds: 1 });
    expect(detected.probed.length).toBe(2);
    expect(detected.events.at(-1)).toMatch(/^ejected: the probe was answered 500; ejected 2 times in a row; until /);
  });

  it("another one is asked for at the next sweep when the result does not come", () => {
    const detected = run(PROBED, "500 30s");
    (detected.endpoints[0] as Endpoint).outlier.probe = "out";
    detected.apply({ kind: "wait", seconds: 10 });
    expect(detected.probed.length).toBe(2);
    expect(detected.endpoints[0]?.outlier.probe).toBe("wanted");
  });
});
