import { join } from "node:path";

import { describeCounts, failures, type Tally } from "./caller.ts";
import { editWeights } from "./config-folder.ts";
import type { Mesh } from "./mesh.ts";
import { splitFinding } from "./split-chapter.ts";
import type { Story } from "./story.ts";
import { seconds, until } from "./until.ts";

const ENOUGH = 1000;

/** The YAML is edited while requests flow. */
export async function reloadChapter(story: Story, { callers: { productpage }, configuration, network, sidecars }: Mesh): Promise<void> {
  story.chapter("The YAML is edited to 50/50 while requests flow");
  const { generation } = await sidecars.productpage.configuration();
  await productpage.startLoad({ url: `${network.callUrl("productpage")}/`, headers: { host: "reviews" }, inParallel: 4 });
  const readings: Tally[] = [await readAtLeast(100)];
  await story.check("the file is saved, and the sidecar obeys it", async () => {
    editWeights(join(configuration, "routing.yaml"), [50, 50]);
    const { afterMs } = await until("the new configuration", async () => {
      const status = await sidecars.productpage.configuration();
      return status.generation > generation ? status : null;
    });
    return { holds: true, seen: `in force ${seconds(afterMs)} after it was saved` };
  });
  // Requests of the time in between are of either configuration.
  readings.push(await productpage.reading());
  await story.check("half of the requests reach v2", async () => {
    readings.push(await readAtLeast(20));
    const tally = await readAtLeast(ENOUGH);
    readings.push(tally);
    return splitFinding(tally, 0.5);
  });
  readings.push(await productpage.endLoad());
  await story.check("no request failed meanwhile", () => noneFailed(readings));

  async function readAtLeast(count: number): Promise<Tally> {
    const parts: Tally[] = [];
    const { value } = await until(`${count} requests`, async () => {
      parts.push(await productpage.reading());
      const sum = sumOf(parts);
      return sum.requests >= count ? sum : null;
    });
    return value;
  }
}

/** Whether every request of all readings was answered with 200. */
export function noneFailed(readings: readonly Tally[]): { readonly holds: boolean; readonly seen: string } {
  const sum = sumOf(readings);
  const failed = failures(sum);
  return { holds: sum.requests > 0 && failed === 0, seen: `${sum.requests} requests, ${failed === 0 ? "0 failed" : describeCounts(sum.outcomes)}` };
}

/** Several readings as one. */
export function sumOf(readings: readonly Tally[]): Tally {
  const add = (field: "outcomes" | "versions" | "certificates"): Record<string, number> => {
    const sum: Record<string, number> = {};
    for (const reading of readings) for (const [key, count] of Object.entries(reading[field])) sum[key] = (sum[key] ?? 0) + count;
    return sum;
  };
  return {
    requests: readings.reduce((sum, reading) => sum + reading.requests, 0),
    outcomes: add("outcomes"), versions: add("versions"), certificates: add("certificates"),
    last: readings.at(-1)?.last ?? null,
  };
}
