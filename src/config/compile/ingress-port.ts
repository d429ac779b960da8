import { isIP } from "node:net";
import type { SidecarIngress } from "../kinds/sidecar.ts";
import type { Path, Resource } from "../resource.ts";
import type { BindSpec } from "../snapshot.ts";
import type { Application } from "./inbound-cluster.ts";
import { canonicalAddress, isLoopback } from "./ip-address.ts";
import type { OwnPort } from "./own-service.ts";
import type { ProblemList } from "./problem-list.ts";
import type { ServiceRegistry } from "./service-registry.ts";
import { portOf } from "./service.ts";
import type { Service } from "./service.ts";
import type { WorkloadIdentity } from "./workload-identity.ts";

/** `host:port` of a `defaultEndpoint`; null for none, or for a form that is not supported. */
interface DefaultEndpoint {
  readonly address: string;
  readonly port: number;
}

/**
 * The socket an ingress entry asks for. `captureMode: NONE` always has one and `IPTABLES` never. With `DEFAULT`, which
 * says nothing of whether connections are captured, there is one unless it would take the port from the application.
 */
export function ingressBind(ingress: SidecarIngress): BindSpec | null {
  if (ingress.captureMode === "IPTABLES") return null;
  const { bind, port } = ingress;
  const hasBind = bind !== undefined && bind !== "";
  const endpoint = parseEndpoint(ingress.defaultEndpoint);
  if (ingress.captureMode === "DEFAULT" && !hasBind && (endpoint === null || endpoint.port === port.number)) return null;
  return { address: hasBind ? canonicalAddress(bind) : "0.0.0.0", port: port.number };
}

/** Where an ingress entry forwards to (spec/02 2.8): its `defaultEndpoint`, or the pod's own address. */
export function ingressApplication(
  ingress: SidecarIngress,
  bind: BindSpec | null,
  workload: WorkloadIdentity,
  sidecar: Resource,
  path: Path,
  problems: ProblemList,
): Application {
  const text = ingress.defaultEndpoint ?? "";
  const endpoint = parseEndpoint(text);
  const refuse = (message: string): Application => {
    problems.error(sidecar, [...path, "defaultEndpoint"], message);
    return { kind: "nowhere" };
  };
  if (text !== "" && endpoint === null) return refuse("only ADDRESS:PORT is supported: connections to this port are refused");
  if (endpoint === null && bind !== null) return refuse("is required where the entry binds a socket of its own: without it connections to this port are refused");
  if (endpoint === null) return { kind: "original" };
  const { address, port } = endpoint;
  const isOwn = bind !== null && port === bind.port && (address === bind.address || bind.address === "0.0.0.0" || bind.address === "::");
  if (isOwn) return refuse("is the entry's own socket: connections to this port are refused");
  if (address !== "0.0.0.0" && address !== "::") return { kind: "address", address, port, fromLoopbackSource: false };
  if (port === ingress.port.number) return { kind: "original" };
  const family = address === "::" ? 6 : 4;
  const own = workload.addresses.map(canonicalAddress).find((candidate) => isIP(candidate) === family);
  if (own === undefined) return { kind: "address", address: family === 6 ? "::1" : "127.0.0.1", port, fromLoopbackSource: false };
  return { kind: "address", address: own, port, fromLoopbackSource: true };
}

/** The service an ingress port belongs to, for its name in metrics and its policies; null when there is none. */
export function ingressService(
  ingress: SidecarIngress,
  bind: BindSpec | null,
  own: readonly OwnPort[],
  registry: ServiceRegistry,
): Service | null {
  const { number } = ingress.port;
  const target = parseEndpoint(ingress.defaultEndpoint)?.port;
  const match = own.find((entry) => entry.number === number)
    ?? own.find((entry) => entry.port.number === number)
    ?? own.find((entry) => entry.number === target);
  if (match !== undefined || bind === null) return match?.service ?? null;
  // Without pod addresses of our own the socket itself tells: who has it as an endpoint is served by it.
  const isBound = (address: string): boolean => address === bind.address || (bind.address === "0.0.0.0" && isLoopback(address));
  return registry.services.find((service) => service.ports.some((port) =>
    port.endpoints.some((endpoint) => endpoint.port === number && isBound(endpoint.address)))) ?? null;
}

/** The port of the service whose connection pool holds for a workload port: the same number, else its only one. */
export function poolPort(service: Service, number: number): number | null {
  return portOf(service, number)?.number ?? service.ports[0]?.number ?? null;
}

function parseEndpoint(text: string | undefined): DefaultEndpoint | null {
  const match = /^(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})$/.exec(text ?? "");
  if (match === null) return null;
  const address = canonicalAddress(match[1] as string);
  const port = Number(match[2]);
  return isIP(address) === 0 || port < 1 || port > 65_535 ? null : { address, port };
}
