import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { GRPC_CASES, GrpcInterop } from "./grpc-interop-suite.ts";
import { findPeer, GRPC_CLIENT, GRPC_SERVER, whySkipped } from "./peers.ts";

const reason = whySkipped(GRPC_CLIENT, GRPC_SERVER);
if (reason !== null) process.stdout.write(reason);

describe.skipIf(reason !== null)("grpc-go's interop client and server, through two sidecars", () => {
  let interop: GrpcInterop;

  beforeAll(async () => {
    interop = await GrpcInterop.start(findPeer(GRPC_CLIENT) ?? "", findPeer(GRPC_SERVER) ?? "");
  });

  afterAll(async () => {
    await interop.stop();
  });

  it.each([...GRPC_CASES.keys()])("%s", async (id) => {
    expect(await interop.run(id)).toEqual({ id, outcome: "passed", detail: "" });
  });

  it("is counted by gRPC status on both sides", async () => {
    for (const [proxy, reporter] of [[interop.caller, "source"], [interop.callee, "destination"]] as const) {
      const metrics = await proxy.metrics();
      // OK; the one asked for by status_code_and_message; UNIMPLEMENTED.
      for (const status of [0, 2, 12]) expect(metrics).toMatch(new RegExp(`^istio_requests_total\\{.*reporter="${reporter}".*grpc_response_status="${status}"`, "m"));
    }
  });

  it("went by HTTP/2 and mutual TLS all the way", () => {
    expect(interop.callee.accessLog.length).toBeGreaterThan(GRPC_CASES.size - 1);
    for (const line of interop.callee.accessLog) {
      expect(line).toMatchObject({ direction: "inbound", peer_principal: "spiffe://cluster.local/ns/default/sa/client", protocol: "HTTP/2" });
    }
  });
});
