import { describe, expect, it } from "vitest";
import type { InboundPortSpec } from "../../../../src/config/snapshot.ts";
import { compileYaml } from "./compile-yaml.ts";

/* The retry policy of the hop to the application: spec/02 2.8. */

function ports(policy: object | null, portName = "http"): { readonly own: InboundPortSpec | undefined; readonly other: InboundPortSpec } {
  const service = { apiVersion: "v1", kind: "Service", metadata: { name: "productpage", namespace: "default" }, spec: { clusterIP: "10.96.0.9", selector: { app: "productpage" }, ports: [{ name: portName, port: 9080 }] } };
  const mesh = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" }, data: { mesh: JSON.stringify(policy === null ? {} : { defaultInboundHttpRetryPolicy: policy }) } };
  const { inbound } = compileYaml(`${JSON.stringify(service)}\n---\n${JSON.stringify(mesh)}`).snapshot;
  return { own: inbound.ports.find(({ port }) => port === 9080), other: inbound.passthrough };
}

describe("the retry policy towards the application", () => {
  it("is the built-in one where the mesh says nothing", () => {
    const { own, other } = ports(null);
    expect(own).toBeDefined();
    expect([own, other].map((port) => port !== undefined && "retry" in port)).toEqual([false, false]);
  });

  it("is the mesh's, but for its fields that mean nothing here", () => {
    const { own, other } = ports({ attempts: 5, retryOn: "503,reset", backoff: "100ms" });
    const retry = { attempts: 5, perTryTimeoutMs: 0, retryOn: ["reset", "retriable-status-codes"], retriableStatuses: [503], backoffBaseMs: 100, backoffMaxMs: 1_000, isExplicit: true };
    expect([own?.retry, other.retry]).toEqual([retry, retry]);
    expect(ports({ attempts: 1 }).own?.retry).toMatchObject({ attempts: 1, retryOn: ["reset-before-request"] });
  });

  it("is none with 0 attempts, and on ports of gRPC", () => {
    expect(ports({ attempts: 0 }).own?.retry).toBeNull();
    expect(ports({ attempts: 3 }, "grpc").own?.retry).toBeNull();
    expect(ports(null, "grpc").own?.retry).toBeNull();
  });
});
