import { describeCounts, failures, type Tally } from "./caller.ts";
import type { Mesh } from "./mesh.ts";
import type { EndpointView } from "./sidecar.ts";
import type { Story } from "./story.ts";
import { seconds, until } from "./until.ts";

/** The cluster of the route below `/any`: every version of reviews. */
const CLUSTER = "outbound|9080||reviews.default.svc.cluster.local";
const BATCH = 20;
/** Asked for at least this many requests before "none failed" is said. */
const ENOUGH = 300;

/** One version breaks: nobody who calls notices, it is left alone, and gets its share again once it works. */
export async function failureChapter(story: Story, mesh: Mesh): Promise<void> {
  const { callers, network, reviews, sidecars } = mesh;
  story.chapter("v2 breaks: retries hide it, it is ejected, and it returns");
  const order = { url: `${network.callUrl("productpage")}/any`, headers: { host: "reviews" }, count: BATCH, inParallel: 4 };
  const total = { requests: 0, failed: 0 };
  const ask = async (): Promise<Tally> => {
    const tally = await callers.productpage.ask(order);
    total.requests += tally.requests;
    total.failed += failures(tally);
    return tally;
  };
  const suspect = async (): Promise<EndpointView> => endpointOfV2(mesh, await sidecars.productpage.endpoints(CLUSTER));

  const before = await reviews.v2.fail();
  await story.check("v2 answers 503 from now on, and its callers see none of it", async () => {
    const { value: ejected } = await until("the ejection of v2", async () => {
      await ask();
      const endpoint = await suspect();
      return endpoint.isEjected && total.requests >= ENOUGH ? endpoint : null;
    });
    const { failed } = await reviews.v2.report();
    const answered503 = failed - before.failed;
    const holds = total.failed === 0 && answered503 > 0 && ejected.isEjected;
    return { holds, seen: `${total.requests} requests, ${total.failed} failed; v2 answered ${answered503} of them with 503, v1 was asked instead` };
  });
  await story.check("productpage's sidecar has ejected v2", async () => {
    const endpoint = await suspect();
    return { holds: endpoint.ejections > 0, seen: `${endpoint.address} ejected ${endpoint.ejections === 1 ? "once" : `${endpoint.ejections} times`}` };
  });
  await reviews.v2.work();
  await story.check("v2 works again and gets its share back", async () => {
    const { value, afterMs } = await until("the return of v2", async () => {
      const tally = await ask();
      return (tally.versions["v2"] ?? 0) > 0 && !(await suspect()).isEjected ? tally : null;
    });
    return { holds: total.failed === 0, seen: `after ${seconds(afterMs)}; of ${value.requests} requests ${describeCounts(value.versions)}; ${total.failed} of ${total.requests} failed in all` };
  });
}

function endpointOfV2({ network }: Mesh, endpoints: readonly EndpointView[]): EndpointView {
  const address = network.endpointAddress("v2");
  const found = endpoints.find((endpoint) => endpoint.address === address);
  if (found === undefined) throw new Error(`${CLUSTER} has no endpoint ${address}, only ${endpoints.map((endpoint) => endpoint.address).join(", ")}`);
  return found;
}
