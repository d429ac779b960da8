/** What is spoken on a service port; `AUTO` is found out from the first bytes. */
export type PortProtocol =
  | "HTTP" | "HTTP2" | "HTTP_PROXY" | "GRPC" | "GRPC-Web"
  | "TCP" | "HTTPS" | "TLS" | "Mongo" | "Redis" | "MySQL"
  | "UDP" | "AUTO";

/** The classes that decide listeners and routes. */
export type PortClass = "http" | "tcp" | "tls" | "auto" | "udp";

const BY_NAME: ReadonlyMap<string, PortProtocol> = new Map([
  ["tcp", "TCP"], ["udp", "UDP"], ["grpc", "GRPC"], ["http", "HTTP"], ["http_proxy", "HTTP_PROXY"], ["http2", "HTTP2"],
  ["https", "HTTPS"], ["tls", "TLS"], ["mongo", "Mongo"], ["redis", "Redis"], ["mysql", "MySQL"],
]);

const BY_APP_PROTOCOL: ReadonlyMap<string, PortProtocol> = new Map([
  ["kubernetes.io/h2c", "HTTP2"], ["kubernetes.io/ws", "HTTP"], ["kubernetes.io/wss", "HTTPS"],
]);

/**
 * Ports that count as TCP when nothing is said of them. The first line is Istio's: SMTP, DNS, MySQL, MongoDB. In the
 * protocols of the others the server speaks first, and HTTP is not spoken there: FTP, POP3, IMAP, mail submission,
 * NATS, Galera's replication and state transfer.
 */
export const PORTS_TAKEN_FOR_TCP: ReadonlySet<number> = new Set([
  25, 53, 3306, 27017,
  21, 110, 143, 587, 4222, 4567, 4568,
]);

/** A protocol as text (`http-web`, `GRPC`), or null when the text names none. */
export function parseProtocol(text: string): PortProtocol | null {
  const lower = text.toLowerCase();
  if (lower.startsWith("grpc-web")) return "GRPC-Web";
  const dash = lower.indexOf("-");
  return BY_NAME.get(dash < 0 ? lower : lower.slice(0, dash)) ?? null;
}

/**
 * The protocol of a Kubernetes service port (spec/00 0.3): UDP, then `appProtocol` alone when it is there, then the port's
 * name; what says nothing is detected, except on the ports of well-known protocols that are no HTTP.
 */
export function protocolOfPort(port: {
  readonly protocol?: string | undefined;
  readonly appProtocol?: string | undefined;
  readonly name?: string | undefined;
  readonly port: number;
}): PortProtocol {
  if (port.protocol?.toUpperCase() === "UDP") return "UDP";
  const text = port.appProtocol ?? port.name ?? "";
  const known = (port.appProtocol === undefined ? null : BY_APP_PROTOCOL.get(port.appProtocol)) ?? parseProtocol(text);
  return known ?? (PORTS_TAKEN_FOR_TCP.has(port.port) ? "TCP" : "AUTO");
}

/** The class of a protocol (spec/00 0.3). */
export function classOf(protocol: PortProtocol): PortClass {
  switch (protocol) {
    case "HTTP": case "HTTP2": case "HTTP_PROXY": case "GRPC": case "GRPC-Web": return "http";
    case "HTTPS": case "TLS": return "tls";
    case "TCP": case "Mongo": case "Redis": case "MySQL": return "tcp";
    case "UDP": return "udp";
    case "AUTO": return "auto";
  }
}
