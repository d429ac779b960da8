import { describe, expect, it } from "vitest";
import { parseBaggage } from "../../../src/telemetry/baggage.ts";

describe("parseBaggage", () => {
  it("reads what ztunnel sends", () => {
    expect(parseBaggage("k8s.cluster.name=c1,k8s.namespace.name=shop,k8s.deployment.name=cart,service.name=cart-svc,service.version=v7")).toEqual({
      workload: "cart", namespace: "shop", canonicalService: "cart-svc", canonicalRevision: "v7", app: "cart-svc", version: "v7", cluster: "c1",
    });
  });

  it.each([
    ["k8s.namespace.name=shop,k8s.job.name=nightly", { workload: "nightly", canonicalService: "nightly", canonicalRevision: "latest", cluster: "unknown" }],
    ["k8s.namespace.name=shop;secret=1 , k8s.pod.name = p%2D1 ;x", { workload: "p-1", namespace: "shop" }],
    ["k8s.deployment.name=a,k8s.deployment.name=b", { workload: "a" }],
    ["k8s.deployment.name=a,app.name=one,app.version=two", { app: "one", version: "two" }],
    // What cannot stand in a label is not said.
    ["k8s.deployment.name=a,k8s.namespace.name=%0Ax", { workload: "a", namespace: "unknown" }],
    ["k8s.deployment.name=a,service.name=%ff", { canonicalService: "a" }],
    [`k8s.deployment.name=a,service.name=${"x".repeat(254)}`, { canonicalService: "a" }],
  ])("%s", (header, expected) => {
    expect(parseBaggage(header)).toMatchObject(expected);
  });

  it.each(["", "=", ",,,", "service.name=x", "k8s.deployment.name", `k8s.deployment.name=a,${"x".repeat(8192)}`])("nothing in %j", (header) => {
    expect(parseBaggage(header)).toBeNull();
  });

  it("gives equal headers one object, and remembers no more than it must", () => {
    const header = "k8s.deployment.name=same";
    const first = parseBaggage(header);
    expect(parseBaggage(header)).toBe(first);
    for (let number = 0; number < 2000; number++) parseBaggage(`k8s.deployment.name=w${number}`);
    expect(parseBaggage(header)).not.toBe(first);
    expect(parseBaggage(header)).toEqual(first);
  });
});
