import { describe, expect, it } from "vitest";
import { describeExplanation } from "../../../src/explain/describe-explanation.ts";
import { parseExplainRequest } from "../../../src/explain/explain-request.ts";
import { networking, type Resource, service } from "../../integration/mesh-resources.ts";
import { meshOf } from "./explainer-of.ts";

/* spec/04 4.6: which endpoints a request may go to, and which wait further away. */

const near = (unready: readonly string[] = []): Resource[] => service({
  name: "ratings",
  endpoints: ["eu.a", "eu.a", "eu.b", "us.a"].map((place, index) => ({
    port: 9080, address: `10.0.1.${index + 1}`, labels: { "istio-locality": place }, isReady: !unready.includes(`10.0.1.${index + 1}`),
  })),
});
const RULE = networking("DestinationRule", "ratings", { host: "ratings", trafficPolicy: { outlierDetection: {} } });
const REQUEST = { direction: "outbound", url: "http://ratings:9080/" };
const explained = (unready: readonly string[], locality: string | null) => meshOf([near(unready), RULE], { locality }).explain(REQUEST);

describe("localities", () => {
  it.each<[string, string[], string | null, string[], string[] | undefined]>([
    ["the own zone, the others stand by", [], "eu/a", ["10.0.1.1:9080", "10.0.1.2:9080"], ["10.0.1.3:9080", "10.0.1.4:9080"]],
    ["half of it: the next zone has its part", ["10.0.1.1"], "eu/a", ["10.0.1.2:9080", "10.0.1.3:9080"], ["10.0.1.4:9080"]],
    ["none of the region", ["10.0.1.1", "10.0.1.2", "10.0.1.3"], "eu/a", ["10.0.1.4:9080"], undefined],
    ["a workload that does not know where it is", [], null, ["10.0.1.1:9080", "10.0.1.2:9080", "10.0.1.3:9080", "10.0.1.4:9080"], undefined],
  ])("%s", (_, unready, locality, endpoints, standby) => {
    const [cluster] = explained(unready, locality).clusters;
    expect([cluster?.endpoints, cluster?.standby, cluster?.unhealthy]).toEqual([endpoints, standby, unready.map((address) => `${address}:9080`)]);
  });

  it("zones that have room enough keep their requests to themselves", () => {
    const zoned = networking("DestinationRule", "ratings", { host: "ratings", trafficPolicy: { loadBalancer: { zoneAwareLbSetting: { minClusterSize: 2 } } } });
    const own = networking("ServiceEntry", "own", {
      hosts: ["own.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      endpoints: ["eu/a", "eu/b", "us/a"].map((locality, index) => ({ address: `10.0.0.${index + 1}`, locality })),
    });
    const [cluster] = meshOf([near(), zoned, own], { locality: "eu/a" }).explain(REQUEST).clusters;
    expect([cluster?.endpoints, cluster?.standby]).toEqual([["10.0.1.1:9080", "10.0.1.2:9080"], ["10.0.1.3:9080", "10.0.1.4:9080"]]);
  });

  it("in a sentence", () => {
    expect(describeExplanation(explained([], "eu/b"), parseExplainRequest(REQUEST))).toContain(": 10.0.1.3:9080, and to 10.0.1.1:9080, 10.0.1.2:9080, 10.0.1.4:9080 when too few of these are healthy");
  });
});
