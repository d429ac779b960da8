import type { InboundPortSpec, ProtocolSpec } from "../snapshot.ts";
import { INBOUND_PASSTHROUGH_CLUSTER } from "./cluster-name.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import type { PeerAuthentications } from "./peer-authentication.ts";
import { classOf } from "./port-protocol.ts";
import type { PortProtocol } from "./port-protocol.ts";
import { compileInboundRetry } from "./retry-policy.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** How the bytes of a declared protocol are looked at: TLS of the application's own is opaque like any TCP. */
export function inboundProtocol(protocol: PortProtocol): ProtocolSpec {
  const portClass = classOf(protocol);
  return portClass === "http" || portClass === "auto" ? portClass : "tcp";
}

/** A port that no service leads to: passed to the application as it comes, still under the workload's policies. */
export function passthroughPort(port: number, workload: WorkloadIdentity, policies: PeerAuthentications, mesh: MeshSettings): InboundPortSpec {
  return {
    port,
    bind: null,
    protocol: "auto",
    ...mtlsOf(port, workload, policies),
    cluster: INBOUND_PASSTHROUGH_CLUSTER,
    service: null,
    ...inboundRetry("HTTP", mesh),
  };
}

/** How requests to a port are repeated, where that is not as built in. */
export function inboundRetry(protocol: PortProtocol, mesh: MeshSettings): Pick<InboundPortSpec, "retry"> {
  const retry = compileInboundRetry(protocol, mesh);
  return retry === undefined ? {} : { retry };
}

/** What a port demands of those who connect to it, and which policy says so. */
export function mtlsOf(port: number, { namespace, labels }: WorkloadIdentity, policies: PeerAuthentications): Pick<InboundPortSpec, "mtls" | "mtlsProvenance"> {
  const { mode, provenance } = policies.ruleOf(namespace, labels, port);
  return provenance === null ? { mtls: mode } : { mtls: mode, mtlsProvenance: provenance };
}
