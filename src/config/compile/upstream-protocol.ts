import type { ConnectionPool } from "../kinds/connection-pool.ts";
import type { Resource } from "../resource.ts";
import type { ClusterSpec, Http2KeepAliveSpec, UpstreamProtocol } from "../snapshot.ts";
import type { MeshSettings } from "./mesh-settings.ts";
import { classOf } from "./port-protocol.ts";
import type { PortProtocol } from "./port-protocol.ts";
import type { ProblemList } from "./problem-list.ts";

/** `off` keeps the multiplexed hop from a Service, a ServiceEntry or what a DestinationRule is for; `on` is the default. */
const HOP_ANNOTATION = "outrider.io/hop";

/** How long an HTTP/2 PING may stay unanswered when `http2KeepAlive` does not say. */
const DEFAULT_PING_TIMEOUT_MS = 5_000;

/** What requests to a service port are sent with (spec/04 4.3). */
export function outboundUpstreamProtocol(port: PortProtocol, pool: ConnectionPool | undefined, mesh: MeshSettings): UpstreamProtocol {
  if (pool?.http?.useClientProtocol === true) return "downstream";
  return upgradeOf(port, pool, mesh) === "UPGRADE" ? "http2" : declaredProtocol(port);
}

/** What requests to our own application are sent with: nobody upgrades them on the application's behalf. */
export function inboundUpstreamProtocol(port: PortProtocol, pool: ConnectionPool | undefined): UpstreamProtocol {
  return pool?.http?.useClientProtocol === true ? "downstream" : declaredProtocol(port);
}

/**
 * Whether the multiplexed hop is offered to endpoints that take mesh TLS: unless `h2UpgradePolicy` forbids any upgrade
 * or one of `resources`, those that define the destination, has the annotation `outrider.io/hop: "off"`.
 */
export function offersHop(
  port: PortProtocol,
  tls: ClusterSpec["tls"],
  pool: ConnectionPool | undefined,
  resources: readonly (Resource | null)[],
  mesh: MeshSettings,
  problems: ProblemList,
): boolean {
  const isOff = resources.map((resource) => resource !== null && isHopOff(resource, problems)).includes(true);
  return tls !== null && !isOff && upgradeOf(port, pool, mesh) !== "DO_NOT_UPGRADE";
}

/** `http2KeepAlive` of a connection pool. */
export function compileHttp2KeepAlive(pool: ConnectionPool | undefined): Http2KeepAliveSpec | null {
  const keepAlive = pool?.http?.http2KeepAlive;
  return keepAlive === undefined ? null : { intervalMs: keepAlive.interval, timeoutMs: keepAlive.timeout ?? DEFAULT_PING_TIMEOUT_MS };
}

function declaredProtocol(port: PortProtocol): UpstreamProtocol {
  if (port === "HTTP2" || port === "GRPC") return "http2";
  return classOf(port) === "http" ? "http1" : "downstream";
}

/** A DestinationRule is sure that its port speaks HTTP; the mesh's word holds for ports that are declared so. */
function upgradeOf(port: PortProtocol, pool: ConnectionPool | undefined, mesh: MeshSettings): "UPGRADE" | "DO_NOT_UPGRADE" | null {
  const own = pool?.http?.h2UpgradePolicy;
  if (own === "UPGRADE" || own === "DO_NOT_UPGRADE") return own;
  return mesh.h2UpgradePolicy === "UPGRADE" && classOf(port) !== "http" ? null : mesh.h2UpgradePolicy;
}

function isHopOff(resource: Resource, problems: ProblemList): boolean {
  const { annotations } = resource.metadata;
  const value = Object.hasOwn(annotations, HOP_ANNOTATION) ? annotations[HOP_ANNOTATION] : undefined;
  if (value !== undefined && value !== "off" && value !== "on") {
    problems.warning(resource, ["metadata", "annotations", HOP_ANNOTATION], `must be "on" or "off", not ${JSON.stringify(value)}: it is on`);
  }
  return value === "off";
}
