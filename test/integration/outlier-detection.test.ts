import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { seededRandom } from "../contract/load-balancer.ts";
import { freePort } from "./free-port.ts";
import { ask } from "./http-client.ts";
import { ManualTime } from "./manual-time.ts";
import { networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";

/* Endpoints that fail are left out for a while: spec/04 4.4 and 4.5, faults F05, F30, F31. */

const VIP = { address: "10.96.0.10", port: 9080 };

describe("outlier detection", () => {
  const upstreams: ScriptedUpstream[] = [];
  let time: ManualTime;
  let proxy: ProxyUnderTest;

  beforeAll(async () => {
    for (let count = 0; count < 3; count++) upstreams.push(await ScriptedUpstream.start());
  });

  afterAll(() => {
    for (const upstream of upstreams) upstream.stop();
  });

  const yaml = (outlierDetection: Resource, ports = upstreams.map(({ port }) => port), annotations: Readonly<Record<string, string>> = {}): string => {
    const rule = networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" }, outlierDetection } });
    return yamlOf(
      service({ name: "reviews", endpoints: ports.map((port) => ({ port })) }),
      { ...rule, metadata: { name: "reviews", namespace: "default", annotations } },
    );
  };

  async function withProxy(text: string, work: () => Promise<void>): Promise<void> {
    time = new ManualTime();
    for (const upstream of upstreams) upstream.reset();
    proxy = await ProxyUnderTest.start({ yaml: text, clock: time, timers: time.timers, random: seededRandom(5) });
    try {
      await work();
    } finally {
      proxy.stop();
    }
  }

  async function statuses(count: number): Promise<number[]> {
    const all: number[] = [];
    for (let index = 0; index < count; index++) all.push((await ask(proxy.connectOutbound(VIP), { headers: { "x-test-id": "any" } })).status);
    return all;
  }

  const failures = async (count: number): Promise<number> => (await statuses(count)).filter((status) => status >= 500).length;
  const ejected = (): number => proxy.clusters().outbound.flatMap(({ endpoints }) => endpoints).filter(({ isEjected }) => isEjected).length;

  it("ejects one that fails, and takes it back after its time", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 3, interval: "1s", baseEjectionTime: "30s", maxEjectionPercent: 50 }), async () => {
      upstreams[0]?.always("500");
      expect(await failures(30)).toBe(3);
      expect(ejected()).toBe(1);
      expect(await failures(30)).toBe(0);
      time.pass(29_000);
      expect(await failures(9)).toBe(0);
      // Still bad: it gets as many requests as it takes to see that, and stays away for twice the time.
      time.pass(1_050);
      expect(await failures(30)).toBe(3);
      time.pass(58_000);
      expect(await failures(9)).toBe(0);
      upstreams[0]?.always("200");
      time.pass(3_000);
      expect(ejected()).toBe(0);
      expect(await failures(30)).toBe(0);
      expect(upstreams[0]?.executions("any")).toBeGreaterThan(10);
    });
  });

  it("says in the log what it did and why", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 2, maxEjectionPercent: 100 }), async () => {
      upstreams[1]?.always("503");
      await statuses(20);
      const line = proxy.logLines.find((text) => text.includes("outlier detection"));
      expect(line).toContain(`127.0.0.1:${upstreams[1]?.port}`);
      expect(line).toMatch(/2 consecutive 5xx; 1 of 3 ejected/);
    });
  });

  it("ejects no more than the share it may, and never the last", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 2, maxEjectionPercent: 34 }), async () => {
      for (const upstream of upstreams) upstream.always("500");
      await statuses(30);
      expect(ejected()).toBe(1);
    });
    await withProxy(yaml({ consecutive5xxErrors: 2, maxEjectionPercent: 100 }), async () => {
      for (const upstream of upstreams) upstream.always("500");
      await statuses(30);
      expect(ejected()).toBe(2);
      // The failures are the upstream's own: nothing was refused for want of an endpoint.
      expect(await statuses(3)).toEqual([500, 500, 500]);
    });
  });

  it("ejects nobody of three with the default share of 10 %, as in Istio", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 2 }), async () => {
      upstreams[0]?.always("500");
      expect(await failures(30)).toBe(10);
      expect(ejected()).toBe(0);
    });
  });

  it("counts gateway errors by themselves", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, maxEjectionPercent: 50 }), async () => {
      upstreams[0]?.always("500");
      expect(await failures(30)).toBe(10);
      upstreams[0]?.always("502");
      expect(await failures(30)).toBe(2);
    });
  });

  it("counts the statuses that are listed, and no others (spec/04 4.4)", async () => {
    await withProxy(yaml({ consecutive5xxErrors: 2, maxEjectionPercent: 50, outlierDetectionHttpErrorCodes: [429] }), async () => {
      upstreams[0]?.always("500");
      expect(await failures(30)).toBe(10);
      expect(ejected()).toBe(0);
      upstreams[0]?.always("429");
      expect((await statuses(30)).filter((status) => status === 429).length).toBe(2);
      expect(ejected()).toBe(1);
    });
  });

  it("splitExternalLocalOriginErrors: failed connections have a count of their own, and a metric (spec/04 4.4, 4.5)", async () => {
    const refusing = await freePort();
    const ports = [refusing, upstreams[1]?.port ?? 0, upstreams[2]?.port ?? 0];
    const split = { consecutive5xxErrors: 1, splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, maxEjectionPercent: 50 };
    await withProxy(yaml(split, ports), async () => {
      const askOnce = async (): Promise<void> => {
        let isOver = false;
        void statuses(1).then(() => (isOver = true));
        while (!isOver) {
          await new Promise((resolve) => {
            setTimeout(resolve, 2);
          });
          time.pass(20);
        }
      };
      const refused = (): number => proxy.clusters().outbound.flatMap(({ endpoints }) => endpoints).find(({ address }) => address.endsWith(`:${refusing}`))?.connectFailures ?? 0;
      for (let round = 0; round < 20 && ejected() === 0; round++) {
        // Seen by answers the first would have been enough.
        expect(refused()).toBeLessThan(3);
        await askOnce();
      }
      expect([refused(), ejected()]).toEqual([3, 1]);
      expect(await proxy.metrics()).toMatch(/envoy_cluster_outlier_detection_ejections_enforced_consecutive_local_origin_failure\{[^}]*\} 1/);
    });
  });

  it("lets one request through after the ejection, with the annotation, and goes by what becomes of it", async () => {
    const settings = { consecutive5xxErrors: 2, maxEjectionPercent: 50, interval: "1s", baseEjectionTime: "10s" };
    await withProxy(yaml(settings, undefined, { "outrider.io/outlier-readmission": "probe" }), async () => {
      upstreams[0]?.always("500");
      expect(await failures(12)).toBe(2);
      time.pass(11_000);
      // One request pays for the look; all at once there would have been two.
      expect(await failures(30)).toBe(1);
      time.pass(19_000);
      expect(await failures(9)).toBe(0);
      upstreams[0]?.always("200");
      time.pass(2_000);
      expect(await failures(9)).toBe(0);
      expect(ejected()).toBe(0);
      expect(proxy.logLines.filter((line) => line.includes("the probe was answered")).map((line) => /the probe was answered \d+/.exec(line)?.[0]))
        .toEqual(["the probe was answered 500", "the probe was answered 200"]);
    });
  });

  it("one of five that answers 500: over 99 % are well after one interval", async () => {
    const more = [await ScriptedUpstream.start(), await ScriptedUpstream.start()];
    try {
      const ports = [...upstreams, ...more].map(({ port }) => port);
      await withProxy(yaml({ interval: "1s", baseEjectionTime: "30s", maxEjectionPercent: 20 }, ports), async () => {
        upstreams[0]?.always("500");
        await statuses(25);
        time.pass(1_000);
        expect(await failures(300)).toBeLessThan(3);
      });
    } finally {
      for (const upstream of more) upstream.stop();
    }
  });

  it("ejects one that refuses connections", async () => {
    const refusing = { port: await freePort() };
    const ports = [refusing.port, upstreams[1]?.port ?? 0, upstreams[2]?.port ?? 0];
    await withProxy(yaml({ consecutive5xxErrors: 2, maxEjectionPercent: 50 }, ports), async () => {
      // Nobody notices: nothing was sent, so the request goes elsewhere.
      const answer = statuses(12);
      let isOver = false;
      void answer.then(() => (isOver = true));
      while (!isOver) {
        await new Promise((resolve) => {
          setTimeout(resolve, 2);
        });
        time.pass(20);
      }
      expect((await answer).filter((status) => status !== 200)).toEqual([]);
      expect(ejected()).toBe(1);
    });
  });
});
