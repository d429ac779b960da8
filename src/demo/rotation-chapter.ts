import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { Tally } from "./caller.ts";
import { ACCOUNTS, issueCertificates, type Mesh } from "./mesh.ts";
import { POD_NAMES } from "./network.ts";
import { noneFailed } from "./reload-chapter.ts";
import type { Finding, Story } from "./story.ts";
import { seconds, until } from "./until.ts";

/** Requests that must all come under the new certificate, one after the other, before the old one counts as gone. */
const ENOUGH = 100;

/** Every certificate is renewed while requests flow. */
export async function rotationChapter(story: Story, mesh: Mesh): Promise<void> {
  const { callers: { productpage }, certificates, network, sidecars, workspace } = mesh;
  story.chapter("All certificates are rotated under load");
  const generations = await Promise.all(POD_NAMES.map(async (name) => (await sidecars[name].certificate()).generation));
  const old = fingerprint(mesh);
  await productpage.startLoad({ url: `${network.callUrl("productpage")}/`, headers: { host: "reviews" }, inParallel: 4 });
  const readings: Tally[] = [];
  const read = async (): Promise<Tally> => {
    const reading = await productpage.reading();
    readings.push(reading);
    return reading;
  };
  await until("requests under the old certificate", async () => ((await read()).certificates[old] ?? 0) > 0 ? true : null);
  await story.check("every sidecar takes up its new certificate", async () => {
    await issueCertificates(workspace, certificates, [...new Set(Object.values(ACCOUNTS))], "24h");
    const { value, afterMs } = await until("the new certificates", async () => {
      const own = await Promise.all(POD_NAMES.map((name) => sidecars[name].certificate()));
      return own.every(({ generation }, at) => generation > (generations[at] ?? 0)) ? own : null;
    });
    return { holds: true, seen: `${value.length} of ${POD_NAMES.length}, ${seconds(afterMs)} after they were written; productpage's expires ${(await sidecars.productpage.certificate()).expires}` };
  });
  await story.check("reviews sees productpage's new certificate, and the old one no more", () => onlyNewIsSeen(old, fingerprint(mesh), read));
  readings.push(await productpage.endLoad());
  await story.check("no request failed meanwhile", () => noneFailed(readings));
}

/** SHA-256 of productpage's certificate file, as X-Forwarded-Client-Cert writes it. */
function fingerprint({ certificates }: Mesh): string {
  const chain = readFileSync(join(certificates, `default.${ACCOUNTS.productpage}`, "cert-chain.pem"));
  return new X509Certificate(chain).fingerprint256.replaceAll(":", "").toLowerCase();
}

async function onlyNewIsSeen(old: string, renewed: string, read: () => Promise<Tally>): Promise<Finding> {
  let inARow = 0;
  await until("requests under the new certificate alone", async () => {
    const { certificates } = await read();
    inARow = (certificates[old] ?? 0) > 0 ? 0 : inARow + (certificates[renewed] ?? 0);
    return inARow >= ENOUGH ? true : null;
  });
  return { holds: renewed !== old, seen: `SHA-256 ${old.slice(0, 12)}... before, ${renewed.slice(0, 12)}... in the last ${inARow} requests` };
}
