import { connect, type Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { freePort } from "./free-port.ts";
import { Load } from "./load.ts";
import { httpRules, networking, service, yamlOf } from "./mesh-resources.ts";
import { RunningProxy } from "./running-proxy.ts";
import { TestApplication } from "./test-application.ts";

/* A large configuration is read while requests go on: the control thread is busy with it, the data thread is not. */

const WORKERS = 2;
/** As many as one turn of an event loop could answer at most if both threads were one. */
const OF_ONE_TURN = 5 * WORKERS;

/** More than 10 000 lines of rules that concern another namespace only, so that reading them is all there is to do. */
function manyRules(generation: number): string {
  return Array.from({ length: 700 }, (_, index) => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: rule-${index}
  namespace: elsewhere
  labels: {generation: "${generation}"}
spec:
  exportTo: ["."]
  hosts: [host-${index}]
  http:
  - match:
    - uri: {prefix: /a/${index}}
      headers: {x-version: {exact: "${generation}"}}
    route:
    - destination: {host: host-${index}}
    timeout: 1s
`).join("");
}

describe("10 000 lines of configuration", () => {
  let application: TestApplication;
  let proxy: RunningProxy | null = null;
  let load: Load | null = null;
  let egress = 0;

  beforeEach(async () => {
    application = await TestApplication.start("app", (_request, response) => response.end("app"));
    egress = await freePort();
  });

  afterEach(async () => {
    await load?.stop();
    await proxy?.stop();
    application.stop();
  });

  /** How many requests were answered while the control thread took to answer one. */
  async function answeredDuringOnePage(running: RunningProxy, steady: Load): Promise<number> {
    const before = steady.results.length;
    await running.page("/server_info");
    return steady.results.length - before;
  }

  it("are read without the data thread noticing", async () => {
    expect(manyRules(1).split("\n").length).toBeGreaterThan(10_000);
    const sidecar = networking("Sidecar", "default", { egress: [{ port: { number: egress, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }] });
    const files = { "sidecar.yaml": yamlOf(sidecar), "services.yaml": yamlOf(service({ name: "reviews", port: egress, endpoints: [{ port: application.port }] })) };
    proxy = await RunningProxy.start({ files });
    const outbound = (): Socket => connect(egress, "127.0.0.1");
    const steady = new Load(outbound, WORKERS);
    load = steady;
    await steady.more(50);

    // The change is seen when its mark answers; until then the control thread is asked again and again. While it reads
    // it cannot answer: that one page takes as long as the reading, and requests must be answered meanwhile.
    proxy.write("many.yaml", manyRules(1));
    proxy.write("mark.yaml", yamlOf(httpRules("reviews", { directResponse: { status: 299 } })));
    let most = 0;
    while (steady.results.at(-1)?.status !== 299) most = Math.max(most, await answeredDuringOnePage(proxy, steady));
    await steady.stop();

    expect(most).toBeGreaterThan(OF_ONE_TURN);
    expect(steady.failures).toEqual([]);
    expect(new Set(steady.results.map(({ status }) => status))).toEqual(new Set([200, 299]));
  });
});
