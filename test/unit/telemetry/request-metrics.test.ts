import { describe, expect, test } from "vitest";
import { TcpInfo } from "../../../src/message/stream-info.ts";
import { exposition } from "../../../src/telemetry/exposition.ts";
import { REQUEST_LABELS, TCP_LABELS } from "../../../src/telemetry/istio-families.ts";
import { RequestMetrics } from "../../../src/telemetry/request-metrics.ts";
import { SeriesReader } from "../../../src/telemetry/series-reader.ts";
import { SeriesWriter } from "../../../src/telemetry/series-writer.ts";
import { TcpMetrics } from "../../../src/telemetry/tcp-metrics.ts";
import { OWN_LABELS, PEER, PEER_ID, SERVICE, WORKLOAD, connection, parseExposition, sampleValue, streamInfo } from "./fixtures.ts";
import type { Sample } from "./fixtures.ts";

const OWN_ID = "spiffe://cluster.local/ns/shop/sa/bookinfo-reviews";

function setUp(options: ConstructorParameters<typeof SeriesWriter>[1] = {}) {
  const reader = new SeriesReader();
  const writer = new SeriesWriter((batch) => reader.accept("data-0", batch), options);
  return {
    writer,
    requests: new RequestMetrics(writer, WORKLOAD),
    tcp: new TcpMetrics(writer, WORKLOAD),
    samples: async (name: string): Promise<Sample[]> => {
      await new Promise((resolve) => setImmediate(resolve));
      return parseExposition(await exposition(reader)).filter((sample) => sample.name === name);
    },
  };
}

describe("istio_requests_total", () => {
  test("at the destination carries every label in Istio's order", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("inbound"), 1012);
    const [sample] = await samples("istio_requests_total");
    expect(Object.keys(sample?.labels ?? {})).toEqual(REQUEST_LABELS);
    expect(Object.entries(sample?.labels ?? {}).map(([name, value]) => `${name}=${value}`)).toEqual([
      "reporter=destination", "source_workload=productpage", "source_canonical_service=productpage", "source_canonical_revision=v2",
      "source_workload_namespace=front", `source_principal=${PEER_ID}`, "source_app=productpage", "source_version=v2", "source_cluster=Kubernetes",
      "destination_workload=reviews-v1", "destination_workload_namespace=shop", `destination_principal=${OWN_ID}`,
      "destination_app=reviews", "destination_version=v1", "destination_service=reviews.shop.svc.cluster.local",
      "destination_canonical_service=reviews", "destination_canonical_revision=v1", "destination_service_name=reviews",
      "destination_service_namespace=shop", "destination_cluster=Kubernetes", "request_protocol=http", "response_code=200",
      "grpc_response_status=", "response_flags=-", "connection_security_policy=mutual_tls",
    ]);
  });

  test("at the source: principals from the upstream's TLS, security policy unknown", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("outbound", { upstreamPrincipal: PEER_ID }), 1012);
    const [sample] = await samples("istio_requests_total");
    expect(sample?.labels).toMatchObject({
      reporter: "source", source_workload: "reviews-v1", source_principal: OWN_ID, destination_workload: "productpage",
      destination_principal: PEER_ID, connection_security_policy: "unknown",
    });
  });

  test("without mutual TLS and metadata: unknown, revision latest", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("inbound", { peer: null }, connection()), 1012);
    const [sample] = await samples("istio_requests_total");
    expect(sample?.labels).toMatchObject({
      source_workload: "unknown", source_canonical_revision: "latest", source_principal: "unknown", source_cluster: "unknown",
      destination_principal: "unknown", destination_workload: OWN_LABELS.workload, connection_security_policy: "none",
    });
  });

  test.each([
    { about: "PassthroughCluster, known host", change: { clusterName: "PassthroughCluster", authority: "Example.com:8080" }, host: "example.com", name: "PassthroughCluster" },
    { about: "BlackHoleCluster", change: { clusterName: "BlackHoleCluster", authority: "example.com", status: 502 }, host: "example.com", name: "BlackHoleCluster" },
    { about: "no route at all", change: { clusterName: null, authority: "example.com", status: 404, flags: "NR" }, host: "example.com", name: "example.com" },
    { about: "a host that is no host name", change: { clusterName: null, authority: 'a"b c' }, host: "unknown", name: "unknown" },
    { about: "a host of 10 000 letters", change: { clusterName: null, authority: "a".repeat(10_000) }, host: "unknown", name: "unknown" },
  ])("outbound without a service: $about", async ({ change, host, name }) => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("outbound", { service: null, peer: null, ...change }), 1012);
    const [sample] = await samples("istio_requests_total");
    expect(sample?.labels).toMatchObject({ destination_service: host, destination_service_name: name, destination_service_namespace: "unknown" });
  });

  test("inbound, a Host that names no service of ours is never a label", async () => {
    const { requests, samples } = setUp();
    for (let index = 0; index < 100; index++) {
      requests.done(streamInfo("inbound", { service: null, clusterName: "InboundPassthroughCluster", authority: `h${index}.example` }), 1012);
    }
    const all = await samples("istio_requests_total");
    expect(all).toHaveLength(1);
    expect(all[0]?.value).toBe(100);
    expect(all[0]?.labels).toMatchObject({ destination_service: "unknown", destination_service_name: "InboundPassthroughCluster", destination_service_namespace: "shop" });
  });

  test("tells outcomes apart: status, flags, gRPC and its status", async () => {
    const { requests, samples } = setUp();
    const outcomes = [
      { status: 200 }, { status: 503 }, { status: 503, flags: "UH" }, { status: 503, flags: "UF,URX" }, { status: 0, flags: "DC" },
      { isGrpc: true, grpcStatus: 0 }, { isGrpc: true, grpcStatus: 14 }, { isGrpc: true }, { isGrpc: true, grpcStatus: 99 },
    ];
    for (const outcome of outcomes) {
      requests.done(streamInfo("inbound", outcome), 1012);
      requests.done(streamInfo("inbound", outcome), 1012);
    }
    const all = await samples("istio_requests_total");
    expect(all.map(({ labels, value }) => [labels["request_protocol"], labels["response_code"], labels["response_flags"], labels["grpc_response_status"], value])).toEqual([
      ["http", "200", "-", "", 2], ["http", "503", "-", "", 2], ["http", "503", "UH", "", 2], ["http", "503", "UF,URX", "", 2], ["http", "0", "DC", "", 2],
      ["grpc", "200", "-", "0", 2], ["grpc", "200", "-", "14", 2], ["grpc", "200", "-", "", 2], ["grpc", "200", "-", "60", 2],
    ]);
  });

  test("a peer with another principal or other metadata is another series", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("inbound"), 1012);
    requests.done(streamInfo("inbound", {}, connection("spiffe://cluster.local/ns/front/sa/other")), 1012);
    requests.done(streamInfo("inbound", { peer: { ...PEER, version: "v3" } }), 1012);
    requests.done(streamInfo("outbound"), 1012);
    expect(await samples("istio_requests_total")).toHaveLength(4);
  });

  test("equal labels from other objects, as after a new snapshot, stay one series", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("inbound"), 1012);
    requests.apply(structuredClone(WORKLOAD));
    requests.done(streamInfo("inbound", { service: { ...SERVICE }, peer: { ...PEER } }), 1012);
    const all = await samples("istio_requests_total");
    expect(all.map(({ value }) => value)).toEqual([2]);
  });

  test("a snapshot that changes our own labels changes the series", async () => {
    const { requests, samples } = setUp();
    const info = streamInfo("inbound");
    requests.done(info, 1012);
    requests.apply({ ...WORKLOAD, metrics: { ...OWN_LABELS, version: "v9" } });
    requests.done(info, 1012);
    expect((await samples("istio_requests_total")).map(({ labels }) => labels["destination_version"])).toEqual(["v1", "v9"]);
  });

  test("counts on after its series were dropped for being idle", async () => {
    const { writer, requests, samples } = setUp({ idleSweeps: 1 });
    const info = streamInfo("inbound");
    requests.done(info, 1012);
    writer.sweep();
    writer.sweep();
    expect(await samples("istio_requests_total")).toEqual([]);
    requests.done(info, 1012);
    expect((await samples("istio_requests_total")).map(({ value }) => value)).toEqual([1]);
  });

  test("100 000 hosts stay within the budget and every request is counted (hostile B32)", async () => {
    const { requests, samples } = setUp({ maxTrafficSeries: 400 });
    for (let index = 0; index < 100_000; index++) {
      requests.done(streamInfo("outbound", { service: null, clusterName: "PassthroughCluster", authority: `host-${index}.example` }), 1012);
    }
    const all = await samples("istio_requests_total");
    expect(all).toHaveLength(101);
    expect(all.reduce((sum, { value }) => sum + value, 0)).toBe(100_000);
    expect(all.filter(({ labels }) => labels["destination_service"] === "other" && labels["reporter"] === "source")).toHaveLength(1);
  });
});

describe("the histograms of a request", () => {
  test("measure milliseconds and wire bytes", async () => {
    const { requests, samples } = setUp();
    requests.done(streamInfo("inbound"), 1012);
    expect((await samples("istio_request_duration_milliseconds_sum"))[0]?.value).toBe(12);
    expect((await samples("istio_request_bytes_sum"))[0]?.value).toBe(300);
    expect((await samples("istio_response_bytes_sum"))[0]?.value).toBe(1200);
    const buckets = await samples("istio_request_duration_milliseconds_bucket");
    expect(buckets.map(({ labels }) => labels["le"])).toEqual([
      "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000", "600000", "1800000", "3600000", "+Inf",
    ]);
    expect(sampleValue(buckets, "istio_request_duration_milliseconds_bucket", { le: "10" })).toBe(0);
    expect(sampleValue(buckets, "istio_request_duration_milliseconds_bucket", { le: "25" })).toBe(1);
  });
});

describe("istio_tcp_*", () => {
  test("counts opening, bytes as they come, and closing", async () => {
    const { tcp, samples } = setUp();
    const info = Object.assign(new TcpInfo("inbound", connection(PEER_ID), 1000), { service: SERVICE, peer: PEER, clusterName: "inbound|3306||" });
    tcp.opened(info);
    info.bytesReceived = 10;
    tcp.progressed(info);
    Object.assign(info, { bytesReceived: 15, bytesSent: 100 });
    tcp.progressed(info);
    info.bytesSent = 130;
    tcp.closed(info, 2000);
    const [opened] = await samples("istio_tcp_connections_opened_total");
    expect(Object.keys(opened?.labels ?? {})).toEqual(TCP_LABELS);
    expect(opened?.labels).toMatchObject({ request_protocol: "tcp", connection_security_policy: "mutual_tls", response_flags: "-" });
    expect(opened?.value).toBe(1);
    expect((await samples("istio_tcp_connections_closed_total"))[0]?.value).toBe(1);
    expect((await samples("istio_tcp_received_bytes_total"))[0]?.value).toBe(15);
    expect((await samples("istio_tcp_sent_bytes_total"))[0]?.value).toBe(130);
  });

  test("unmatched TCP has no service", async () => {
    const { tcp, samples } = setUp();
    const info = Object.assign(new TcpInfo("outbound", connection(), 1000), { clusterName: "PassthroughCluster" });
    tcp.opened(info);
    expect((await samples("istio_tcp_connections_opened_total"))[0]?.labels).toMatchObject({
      destination_service: "unknown", destination_service_name: "PassthroughCluster", source_principal: "unknown",
    });
  });
});
