import { describe, expect, it } from "vitest";
import type { ClusterSpec } from "../../../../src/config/snapshot.ts";
import type { WorkloadIdentity } from "../../../../src/config/compile/workload-identity.ts";
import { clusterOf, compileYaml } from "./compile-yaml.ts";

/* spec/04 4.6: who is used first, by where it runs. */

interface Place {
  readonly locality?: string;
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly weight?: number;
}

const NAME = "outbound|80||a.test";
const yamlOf = (...resources: readonly unknown[]): string => resources.map((each) => JSON.stringify(each)).join("\n---\n");
const istio = (kind: string, spec: unknown, annotations = {}): unknown => ({ apiVersion: "networking.istio.io/v1", kind, metadata: { name: "a", namespace: "default", annotations }, spec });
/** A service of the mesh at `10.0.0.1`, `10.0.0.2`, ... */
const entry = (places: readonly Place[], annotations = {}): unknown => istio("ServiceEntry", {
  hosts: ["a.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  endpoints: places.map(({ locality, labels, weight }, index) => ({ address: `10.0.0.${index + 1}`, locality, labels, weight })),
}, annotations);
const rule = (localityLbSetting: unknown, more: Record<string, unknown> = { outlierDetection: {} }, annotations = {}): unknown =>
  istio("DestinationRule", { host: "a.test", trafficPolicy: { ...(localityLbSetting === undefined ? {} : { loadBalancer: { localityLbSetting } }), ...more } }, annotations);
const mesh = (settings: unknown): unknown => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: JSON.stringify(settings) } });
const cluster = (workload: Partial<WorkloadIdentity>, ...resources: readonly unknown[]): ClusterSpec => clusterOf(compileYaml(yamlOf(...resources), workload).snapshot, NAME);
/** The priority of each endpoint, in their order. */
const priorities = ({ endpoints }: ClusterSpec): number[] => endpoints.map(({ priority }) => priority ?? 0);
const HERE = { locality: "eu/a/1" };
const at = (...localities: readonly string[]): Place[] => localities.map((locality) => ({ locality }));

describe("default failover (spec/04 4.6)", () => {
  it("prefers the same subzone, zone, region, in that order, without gaps", () => {
    expect(priorities(cluster(HERE, entry(at("eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "eu/a")), rule(undefined)))).toEqual([0, 1, 2, 3, 1]);
    expect(priorities(cluster(HERE, entry(at("eu/b", "us/a", "ap/a")), rule(undefined)))).toEqual([0, 1, 1]);
  });

  it("keeps each endpoint's place for /clusters", () => {
    expect(cluster(HERE, entry(at("eu/a/1", "us"))).endpoints.map(({ locality }) => locality)).toEqual(["eu/a/1", "us"]);
  });

  it.each<[string, unknown[], Partial<WorkloadIdentity>]>([
    ["without outlier detection", [rule({ enabled: true }, { tls: { mode: "DISABLE" } })], HERE],
    ["with none of a DestinationRule", [], HERE],
    ["switched off by the rule", [rule({ enabled: false })], HERE],
    ["switched off for the mesh", [rule(undefined), mesh({ localityLbSetting: { enabled: false } })], HERE],
    ["where the workload does not know its place", [rule(undefined)], {}],
  ])("does nothing %s", (_, resources, workload) => {
    expect(priorities(cluster(workload, entry(at("eu/a", "us/a")), ...resources))).toEqual([0, 0]);
  });

  it("the mesh's default outlier detection counts", () => {
    expect(priorities(cluster(HERE, entry(at("eu/a/1", "us/a")), mesh({ defaultTrafficPolicy: { outlierDetection: {} } })))).toEqual([0, 1]);
  });
});

describe("failover (spec/04 4.6)", () => {
  it("of other regions the one that is named for ours comes first", () => {
    const places = entry(at("eu/a/1", "us/a", "ap/a", "eu/b"));
    expect(priorities(cluster(HERE, places, rule({ failover: [{ from: "eu", to: "ap" }] })))).toEqual([0, 3, 2, 1]);
    expect(priorities(cluster(HERE, places, rule({ failover: [{ from: "us", to: "ap" }] })))).toEqual([0, 2, 2, 1]);
  });

  it("a rule's setting replaces the mesh's as a whole", () => {
    const places = entry(at("us/a", "ap/a"));
    const ofMesh = mesh({ localityLbSetting: { failover: [{ from: "eu", to: "ap" }] } });
    expect(priorities(cluster(HERE, places, rule(undefined), ofMesh))).toEqual([1, 0]);
    expect(priorities(cluster(HERE, places, rule({ failover: [] }), ofMesh))).toEqual([0, 0]);
  });
});

describe("failoverPriority (spec/04 4.6)", () => {
  const labelled = (...labels: Record<string, string>[]): unknown => entry(labels.map((each) => ({ labels: each })));
  const own = { labels: { app: "productpage", rack: "r1", power: "p1" } };

  it("counts leading labels that are equal; the first that differs ends it", () => {
    const places = labelled({ rack: "r1", power: "p1" }, { rack: "r1", power: "p2" }, { rack: "r2", power: "p1" }, {});
    expect(priorities(cluster(own, places, rule({ failoverPriority: ["rack", "power"] })))).toEqual([0, 1, 2, 2]);
  });

  it("key=value compares with that value", () => {
    const places = labelled({ version: "v1" }, { version: "v2" });
    expect(priorities(cluster(own, places, rule({ failoverPriority: ["version=v2"] })))).toEqual([1, 0]);
  });

  it("a label that neither has is equal", () => {
    expect(priorities(cluster(own, labelled({}, { rack: "r1" }), rule({ failoverPriority: ["nobody", "rack"] })))).toEqual([1, 0]);
  });

  it("the places are labels too", () => {
    const keys = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];
    expect(priorities(cluster(HERE, entry(at("eu/b", "eu/a", "us/a")), rule({ failoverPriority: keys })))).toEqual([1, 0, 2]);
  });

  it("another network comes after everything, and does not end the comparison", () => {
    const network = "topology.istio.io/network";
    const places = labelled({ [network]: "n1", rack: "r1" }, { [network]: "n1", rack: "r2" }, { [network]: "n2", rack: "r1" }, { [network]: "n2", rack: "r2" });
    expect(priorities(cluster({ labels: { ...own.labels, [network]: "n1" } }, places, rule({ failoverPriority: [network, "rack"] })))).toEqual([0, 1, 2, 3]);
  });

  it("together with failover: labels first, then places", () => {
    const places = entry([{ locality: "us/a", labels: { rack: "r1" } }, { locality: "ap/a", labels: { rack: "r1" } }, { locality: "eu/a/1", labels: { rack: "r2" } }]);
    expect(priorities(cluster({ ...HERE, ...own }, places, rule({ failover: [{ from: "eu", to: "ap" }], failoverPriority: ["rack"] })))).toEqual([1, 0, 2]);
  });
});

describe("distribute (spec/04 4.6)", () => {
  const distribute = (to: Record<string, number>, from = "eu/a/*"): unknown => rule({ distribute: [{ from: "us/*", to: { "us/*": 100 } }, { from, to }] }, { connectionPool: { tcp: {} } });
  const weights = (...parameters: Parameters<typeof cluster>): Record<string, number> => {
    const { locality } = cluster(...parameters);
    return Object.fromEntries((locality !== undefined && "weights" in locality ? locality.weights : []).map((each) => [each.locality, each.weight]));
  };

  it("shares by the first entry of our place, without outlier detection", () => {
    const found = cluster(HERE, entry(at("eu/a/1", "eu/b/1", "us/a/1")), distribute({ "eu/a/*": 80, "eu/b/*": 20 }));
    expect(found.locality).toEqual({ weights: [{ locality: "eu/a/1", weight: 80 }, { locality: "eu/b/1", weight: 20 }] });
    expect(found.endpoints.map(({ address }) => address)).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("localities that share a weight share it by their endpoints, rounded up", () => {
    expect(weights(HERE, entry(at("eu/a/1", "eu/a/2", "eu/a/2", "us/a")), distribute({ "eu/a/*": 80, us: 20 }))).toEqual({ "eu/a/1": 27, "eu/a/2": 54, "us/a": 20 });
    const weighted = entry([{ locality: "eu/a/1", weight: 3 }, { locality: "eu/a/2" }, { locality: "us" }]);
    expect(weights(HERE, weighted, distribute({ "eu/a/*": 80, us: 20 }))).toEqual({ "eu/a/1": 60, "eu/a/2": 20, us: 20 });
  });

  it("does nothing for a workload that no entry speaks of", () => {
    const found = cluster({ locality: "ap/a" }, entry(at("eu/a/1", "us/a")), distribute({ "eu/a/*": 100 }));
    expect([found.locality, found.endpoints.length]).toEqual([undefined, 2]);
  });

  it("to places where nobody is: told, since no request is answered", () => {
    const yaml = yamlOf(entry(at("us/a")), distribute({ "eu/a/*": 100 }));
    expect(compileYaml(yaml, HERE).problems).toEqual([expect.stringContaining("localityLbSetting.distribute: no endpoint of a.test is where the entry for eu/a/1 sends to: requests are answered 503")]);
  });

  it("* is any place", () => {
    expect(weights({}, entry(at("eu/a/1", "us/a")), rule({ distribute: [{ from: "*", to: { eu: 30, us: 70 } }] }))).toEqual({ "eu/a/1": 30, "us/a": 70 });
  });
});

describe("trafficDistribution (spec/04 4.6)", () => {
  const ANNOTATION = "networking.istio.io/traffic-distribution";
  it.each(["PreferClose", "PreferSameZone"])("%s prefers the zone, then the region, without outlier detection", (value) => {
    expect(priorities(cluster(HERE, entry(at("eu/a/2", "eu/b", "us/a"), { [ANNOTATION]: value })))).toEqual([0, 1, 2]);
  });

  it("a DestinationRule's own setting goes before it, the mesh's after", () => {
    const places = entry(at("eu/a", "us/a"), { [ANNOTATION]: "PreferClose" });
    expect(priorities(cluster(HERE, places, rule({ enabled: false })))).toEqual([0, 0]);
    expect(priorities(cluster(HERE, places, mesh({ localityLbSetting: { enabled: false } })))).toEqual([0, 1]);
  });

  it("nothing panics", () => {
    const detection = rule(undefined, { outlierDetection: { minHealthPercent: 60 } });
    expect(cluster(HERE, entry(at("eu/a")), detection).outlierDetection?.minHealthPercent).toBe(60);
    expect(cluster(HERE, entry(at("eu/a"), { [ANNOTATION]: "PreferClose" }), detection).outlierDetection?.minHealthPercent).toBe(0);
  });
});

const KUBERNETES = "outbound|9080||reviews.default.svc.cluster.local";
const service = (spec: Record<string, unknown> = {}): unknown => ({ apiVersion: "v1", kind: "Service", metadata: { name: "reviews", namespace: "default" }, spec: { clusterIP: "10.0.0.9", ports: [{ name: "http", port: 9080 }], ...spec } });
const slice = (...endpoints: readonly unknown[]): unknown => ({
  apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", metadata: { name: "s", namespace: "default", labels: { "kubernetes.io/service-name": "reviews" } },
  addressType: "IPv4", ports: [{ name: "http", port: 9080 }], endpoints,
});
const node = (name: string, region: string, zone: string): unknown => ({
  apiVersion: "v1", kind: "Node", metadata: { name, labels: { "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone } }, status: { images: [{ sizeBytes: 1 }] },
});
const pod = (name: string, podIP: string, nodeName: string | undefined, labels = {}): unknown => ({ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default", labels }, spec: { nodeName }, status: { podIP } });
const reviews = (workload: Partial<WorkloadIdentity>, ...resources: readonly unknown[]): ClusterSpec => clusterOf(compileYaml(yamlOf(...resources), workload).snapshot, KUBERNETES);

describe("zoneAwareLbSetting (spec/04 4.6)", () => {
  const zoned = (zoneAwareLbSetting: unknown, more: Record<string, unknown> = {}): unknown => istio("DestinationRule", { host: "a.test", trafficPolicy: { loadBalancer: { zoneAwareLbSetting }, ...more } });
  /** A service of the workload's own, with two of it in `eu/a` and one in `eu/b`. */
  const callers = istio("ServiceEntry", {
    hosts: ["productpage.test"], location: "MESH_INTERNAL", resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }, { number: 81, name: "more", protocol: "HTTP" }],
    endpoints: [{ address: "10.1.0.1", locality: "eu/a/1" }, { address: "10.1.0.2", locality: "eu/a/2" }, { address: "10.1.0.3", locality: "eu/b" }],
  });
  const own = { ...(callers as Record<string, unknown>), metadata: { name: "productpage", namespace: "default" } };
  const places = entry(at("eu/a/1", "eu/b", "us/a", "ap/a"));

  it("counts the workload's like by zone, by a service that it is behind", () => {
    expect(cluster(HERE, places, own, zoned({ minClusterSize: 2 })).locality)
      .toEqual({ zoneAware: { own: "eu/a", callers: [{ zone: "eu/a", count: 2 }, { zone: "eu/b", count: 1 }], minClusterSize: 2 } });
    expect(cluster(HERE, places, own, zoned({})).locality).toMatchObject({ zoneAware: { minClusterSize: 6 } });
  });

  it("zones of a region have one priority; regions fail over where there is outlier detection", () => {
    expect(priorities(cluster(HERE, places, own, zoned({ enabled: true })))).toEqual([0, 0, 0, 0]);
    expect(priorities(cluster(HERE, places, own, zoned({}, { outlierDetection: {} })))).toEqual([0, 0, 1, 1]);
    expect(priorities(cluster(HERE, places, own, zoned({ failover: [{ from: "eu", to: "ap" }] }, { outlierDetection: {} })))).toEqual([0, 0, 2, 1]);
  });

  it("that of a rule goes before the service's and the mesh's, and enabled: false ends it", () => {
    const near = entry(at("eu/a/1", "us/a"), { "networking.istio.io/traffic-distribution": "PreferClose" });
    const off = cluster(HERE, near, own, zoned({ enabled: false }, { outlierDetection: {} }));
    expect([off.locality, priorities(off)]).toEqual([undefined, [0, 0]]);
  });

  it("that of the mesh goes before its localityLbSetting", () => {
    const found = cluster(HERE, places, own, rule(undefined), mesh({ zoneAwareLbSetting: { enabled: true }, localityLbSetting: { failover: [{ from: "eu", to: "ap" }] } }));
    expect([found.locality === undefined, priorities(found)]).toEqual([false, [0, 0, 1, 1]]);
    expect(cluster(HERE, places, own, rule(undefined), mesh({ zoneAwareLbSetting: { enabled: false } })).locality).toBeUndefined();
  });

  it("without a service of its own it is not known who else calls: told", () => {
    const { snapshot, problems } = compileYaml(yamlOf(places, zoned({})), { ...HERE, addresses: [] });
    expect(clusterOf(snapshot, NAME).locality).toBeUndefined();
    expect(problems).toEqual([expect.stringContaining("loadBalancer.zoneAwareLbSetting: zones make no difference: no service has this workload among its endpoints")]);
  });
});

describe("where endpoints are (spec/00 0.3)", () => {
  const places = (...resources: readonly unknown[]): (string | undefined)[] => reviews({}, service(), ...resources).endpoints.map(({ locality }) => locality);

  it.each<[string, unknown[], string | undefined]>([
    ["the node of the EndpointSlice", [slice({ addresses: ["10.1.0.1"], nodeName: "n1", zone: "z" }), node("n1", "eu", "a")], "eu/a"],
    ["the node of the Pod", [slice({ addresses: ["10.1.0.1"] }), pod("p", "10.1.0.1", "n1"), node("n1", "eu", "a")], "eu/a"],
    ["the Pod's own labels", [slice({ addresses: ["10.1.0.1"] }), pod("p", "10.1.0.1", undefined, { "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "a", "topology.istio.io/subzone": "s" })], "eu/a/s"],
    ["its label istio-locality first", [slice({ addresses: ["10.1.0.1"] }), pod("p", "10.1.0.1", "n1", { "istio-locality": "us.b.c" }), node("n1", "eu", "a")], "us/b/c"],
    ["the zone alone, with the region of a node there", [slice({ addresses: ["10.1.0.1"], zone: "a" }), node("n9", "eu", "a")], "eu/a"],
    ["the zone alone, of no known region", [slice({ addresses: ["10.1.0.1"], zone: "a" })], "/a"],
    ["nothing", [slice({ addresses: ["10.1.0.1"] })], undefined],
  ])("%s", (_, resources, locality) => {
    expect(places(...resources)).toEqual([locality]);
  });

  it("subsets may select by it", () => {
    const subsets = istio("DestinationRule", { host: "reviews", subsets: [{ name: "a", labels: { "topology.kubernetes.io/zone": "a" } }] });
    const { snapshot } = compileYaml(yamlOf(service(), slice({ addresses: ["10.1.0.1"], nodeName: "n1" }, { addresses: ["10.1.0.2"], nodeName: "n2" }), node("n1", "eu", "a"), node("n2", "eu", "b"), subsets));
    expect(clusterOf(snapshot, KUBERNETES.replace("||", "|a|")).endpoints.map(({ address }) => address)).toEqual(["10.1.0.1"]);
  });
});

describe("where the workload is", () => {
  const TWO = [service({ trafficDistribution: "PreferClose" }), slice({ addresses: ["10.1.0.1"], nodeName: "n1" }, { addresses: ["10.1.0.2"], nodeName: "n2" }), node("n1", "eu", "a"), node("n2", "eu", "b")];

  it.each<[string, Partial<WorkloadIdentity>, unknown[], number[]]>([
    ["as it is told", { locality: "eu/b" }, [], [1, 0]],
    ["by its node", { nodeName: "n2" }, [], [1, 0]],
    ["by its Pod", { podName: "me" }, [pod("me", "10.1.0.77", "n2")], [1, 0]],
    ["by its labels", { labels: { "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "a" } }, [], [0, 1]],
    ["by the endpoint at its address", { addresses: ["10.1.0.2"] }, [], [1, 0]],
    ["not at all", { addresses: [] }, [], [0, 0]],
  ])("%s", (_, workload, resources, expected) => {
    expect(priorities(reviews(workload, ...TWO, ...resources))).toEqual(expected);
  });

  it("is part of what /config_dump shows", () => {
    expect(compileYaml(yamlOf(...TWO), { nodeName: "n2" }).snapshot.workload.locality).toBe("eu/b");
    expect(compileYaml(yamlOf(service())).snapshot.workload).not.toHaveProperty("locality");
  });

  it("PreferSameNode goes on to the node", () => {
    const resources = [service({ trafficDistribution: "PreferSameNode" }), slice({ addresses: ["10.1.0.1"], nodeName: "n1" }, { addresses: ["10.1.0.2"], nodeName: "n2" }), node("n1", "eu", "a"), node("n2", "eu", "a")];
    expect(priorities(reviews({ nodeName: "n2" }, ...resources))).toEqual([1, 0]);
  });

  it("a word that is not known has no effect, and is told", () => {
    const { problems } = compileYaml(yamlOf(service({ trafficDistribution: "PreferMoon" }), slice({ addresses: ["10.1.0.1"] })));
    expect(problems).toContainEqual(expect.stringContaining('spec.trafficDistribution: "PreferMoon" is not known'));
    const annotated = { ...(service() as object), metadata: { name: "reviews", namespace: "default", annotations: { "networking.istio.io/traffic-distribution": "Near" } } };
    expect(compileYaml(yamlOf(annotated)).problems).toContainEqual(expect.stringContaining('"Near" is not known'));
  });
});

describe("internalTrafficPolicy: Local (spec/00 0.3)", () => {
  const LOCAL = [service({ internalTrafficPolicy: "Local" }), slice({ addresses: ["10.1.0.1"], nodeName: "n1" }, { addresses: ["10.1.0.2"], nodeName: "n2" })];

  it("uses the endpoints of the own node, if there are none nobody's", () => {
    expect(reviews({ nodeName: "n2" }, ...LOCAL).endpoints.map(({ address }) => address)).toEqual(["10.1.0.2"]);
    expect(reviews({ nodeName: "n3" }, ...LOCAL).endpoints).toEqual([]);
  });

  it("says when the own node is not known", () => {
    const { snapshot, problems } = compileYaml(yamlOf(...LOCAL), { addresses: [] });
    expect(clusterOf(snapshot, KUBERNETES).endpoints.length).toBe(2);
    expect(problems).toContainEqual(expect.stringContaining("spec.internalTrafficPolicy: Local is not obeyed, since the node of this workload is not known"));
  });
});

describe("outlierDetection (spec/04 4.4)", () => {
  const outlier = (outlierDetection: unknown, annotations = {}): ClusterSpec["outlierDetection"] => cluster({}, entry(at("eu")), rule(undefined, { outlierDetection }, annotations)).outlierDetection;

  it("the split has a threshold of five", () => {
    expect(outlier({ splitExternalLocalOriginErrors: true })?.consecutiveLocalOriginFailures).toBe(5);
    expect(outlier({ splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2 })?.consecutiveLocalOriginFailures).toBe(2);
    expect(outlier({})).not.toHaveProperty("consecutiveLocalOriginFailures");
  });

  it("statuses that are errors", () => {
    expect(outlier({ outlierDetectionHttpErrorCodes: [429, 500] })?.errorStatuses).toEqual([429, 500]);
    expect(outlier({})).not.toHaveProperty("errorStatuses");
  });

  it("the annotation for probes", () => {
    expect(outlier({}, { "outrider.io/outlier-readmission": "probe" })?.readmitsByProbe).toBe(true);
    const wrong = yamlOf(entry(at("eu")), rule(undefined, { outlierDetection: {} }, { "outrider.io/outlier-readmission": "slow" }));
    expect(compileYaml(wrong).problems).toContainEqual(expect.stringContaining('"slow" is not "probe", the only value there is'));
  });

  it("with minHealthPercent an endpoint that is not ready is none: in a panic it would be used (spec/00 0.3)", () => {
    const unready = [service(), slice({ addresses: ["10.1.0.1"] }, { addresses: ["10.1.0.2"], conditions: { ready: false } })];
    const detection = (minHealthPercent: number): unknown => istio("DestinationRule", { host: "reviews", trafficPolicy: { outlierDetection: { minHealthPercent } } });
    expect(reviews({}, ...unready, detection(0)).endpoints.map(({ isHealthy }) => isHealthy)).toEqual([true, false]);
    expect(reviews({}, ...unready, detection(50)).endpoints.map(({ isHealthy }) => isHealthy)).toEqual([true]);
  });

  it("none of these fields is unsupported any more", () => {
    const yaml = yamlOf(entry(at("eu")), rule({ enabled: true, failover: [{ from: "eu", to: "us" }] }, { outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 1, outlierDetectionHttpErrorCodes: [500] } }), mesh({ localityLbSetting: { enabled: true } }));
    expect(compileYaml(yaml).problems.filter((problem) => problem.includes("unsupported"))).toEqual([]);
  });
});
