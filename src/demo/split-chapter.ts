import { describeCounts, failures, type Tally } from "./caller.ts";
import type { Mesh } from "./mesh.ts";
import type { Finding, Story } from "./story.ts";

const REQUESTS = 1000;
/** Beyond this many standard deviations chance is no excuse: one run in a million. */
const MAX_DEVIATIONS = 5;

/** The split the routes ask for, measured. */
export async function splitChapter(story: Story, { callers, network }: Mesh): Promise<void> {
  story.chapter("A VirtualService splits traffic 90/10");
  await story.check(`of ${REQUESTS} requests nine in ten reach v1`, async () => {
    const tally = await callers.productpage.ask({ url: `${network.callUrl("productpage")}/`, headers: { host: "reviews" }, count: REQUESTS, inParallel: 8 });
    return splitFinding(tally, 0.1);
  });
}

/** Whether all requests were answered and v2 got its share of them, as far as chance allows. */
export function splitFinding(tally: Tally, shareOfV2: number): Finding {
  const { v1 = 0, v2 = 0 } = tally.versions;
  const deviation = Math.sqrt(tally.requests * shareOfV2 * (1 - shareOfV2));
  const isWithin = Math.abs(v2 - tally.requests * shareOfV2) <= MAX_DEVIATIONS * deviation;
  const failed = failures(tally);
  const seen = `v1 ${v1}, v2 ${v2} of ${tally.requests}`;
  return { holds: tally.requests > 0 && failed === 0 && isWithin, seen: failed === 0 ? seen : `${seen}; ${describeCounts(tally.outcomes)}` };
}
