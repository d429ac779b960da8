import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { freePort } from "../integration/free-port.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { RunningProxy } from "../integration/running-proxy.ts";
import { whySkipped } from "./peers.ts";
import { SPIRE_AGENT, SPIRE_SERVER, SpireDeployment } from "./spire-deployment.ts";

/* An identity from a real SPIRE: its server, its agent, and the program as operators run it. */

const REVIEWS = "spiffe://cluster.local/ns/default/sa/reviews";
const RATINGS = "spiffe://cluster.local/ns/default/sa/ratings";
/** The agent asks its server every five seconds for what is new. */
const TIMEOUT_MS = 120_000;

const reason = whySkipped(SPIRE_SERVER, SPIRE_AGENT);
if (reason !== null) process.stdout.write(reason);

interface CertificatesPage {
  readonly source: { readonly connected: boolean; readonly svids: readonly { readonly spiffeId: string; readonly hint: string }[] };
  readonly certificates: readonly { readonly spiffeId: string; readonly generation: number }[];
  readonly problems: readonly string[];
}

describe.skipIf(reason !== null)("SPIRE", () => {
  let spire: SpireDeployment;
  const proxies: RunningProxy[] = [];

  beforeAll(async () => {
    spire = await SpireDeployment.start();
  }, TIMEOUT_MS);

  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
  });

  afterAll(async () => {
    await spire.stop();
  });

  const pageOf = async (proxy: RunningProxy): Promise<CertificatesPage> => JSON.parse((await proxy.page("/certs")).text) as CertificatesPage;

  /** As `eventually`, for what an agent is told only every few seconds. */
  async function inTime(condition: () => Promise<boolean>, what: string): Promise<void> {
    for (let tries = 0; tries < 3; tries++) {
      try {
        await eventually(condition, what);
        return;
      } catch (error) {
        if (tries === 2) throw error;
      }
    }
  }

  it("gives an identity once there is an entry, all that there are, goes on after a restart of the agent, and is outlived when it takes them back", async () => {
    const readyPort = await freePort();
    const proxy = RunningProxy.spawn({ files: {}, hasCertificates: false, flags: ["--identity", "spiffe", "--spiffe-socket", spire.uri, "--ready-port", String(readyPort)] });
    proxies.push(proxy);
    const readiness = async (): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`).catch(() => null);
      return response === null ? "" : `${response.status} ${await response.text()}`;
    };
    await inTime(async () => (await readiness()).includes("PERMISSION_DENIED"), "nobody registered it yet");
    const first = await spire.createEntry(REVIEWS, "mesh");
    await inTime(async () => (await readiness()).startsWith("200"), "it is ready");
    expect(await pageOf(proxy)).toMatchObject({ certificates: [{ spiffeId: REVIEWS }], problems: [], source: { connected: true, svids: [{ spiffeId: REVIEWS, hint: "mesh" }] } });

    const second = await spire.createEntry(RATINGS, "other");
    await inTime(async () => (await pageOf(proxy)).source.svids.length === 2, "the second SVID is there");

    await spire.stopAgent();
    await inTime(async () => !(await pageOf(proxy)).source.connected, "the agent is gone");
    expect((await readiness()).startsWith("200")).toBe(true);
    await spire.startAgent();
    await inTime(async () => (await pageOf(proxy)).source.connected, "the agent is back");
    expect((await pageOf(proxy)).problems).toEqual([]);

    await spire.deleteEntry(first);
    await spire.deleteEntry(second);
    await inTime(async () => (await pageOf(proxy)).problems.some((problem) => problem.includes("PERMISSION_DENIED")), "it is told that it has no identity any more");
    expect((await pageOf(proxy)).certificates).toHaveLength(1);
    expect((await readiness()).startsWith("200")).toBe(true);
  }, TIMEOUT_MS);

  it("gives the SVID of the hint", async () => {
    const entries = [await spire.createEntry(REVIEWS, "mesh"), await spire.createEntry(RATINGS, "other")];
    const proxy = await RunningProxy.start({ files: {}, hasCertificates: false, flags: ["--identity", "spiffe", "--spiffe-socket", spire.uri, "--spiffe-hint", "other"] });
    proxies.push(proxy);
    expect((await pageOf(proxy)).certificates[0]?.spiffeId).toBe(RATINGS);
    for (const entry of entries) await spire.deleteEntry(entry);
  }, TIMEOUT_MS);
});
