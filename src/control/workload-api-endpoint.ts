/** Where the SPIFFE Workload API is served. */
export interface WorkloadApiEndpoint {
  /** As it was written. */
  readonly uri: string;
  /** As gRPC names it: `unix:/run/spire/agent.sock`, `ipv4:127.0.0.1:8081`, `ipv6:[::1]:8081`. */
  readonly target: string;
}

/** What fits `sun_path` of a Unix socket, with the byte that ends it. */
const MAX_SOCKET_PATH_BYTES = 107;
const LOOPBACK = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;

/**
 * Reads the address of a Workload API as `SPIFFE_ENDPOINT_SOCKET` has it (SPIFFE Workload Endpoint, section 4):
 * `unix:///path/to/socket`, or `tcp://IP:PORT`. Our key comes over it in the clear, so TCP is taken on loopback alone.
 *
 * @returns the endpoint, or a string that says what is wrong.
 */
export function parseWorkloadApiEndpoint(uri: string): WorkloadApiEndpoint | string {
  if (/[?#]/.test(uri)) return "has more than a scheme and an address";
  if (uri.startsWith("unix:")) return unixEndpoint(uri);
  if (uri.startsWith("tcp:")) return tcpEndpoint(uri);
  return "begins with neither unix:/// nor tcp://";
}

function unixEndpoint(uri: string): WorkloadApiEndpoint | string {
  const path = decoded(/^unix:(?:\/\/)?(\/[^/].*)$/.exec(uri)?.[1] ?? "");
  if (path === null) return "is not percent-encoded properly";
  if (path === "" || path.includes("\0")) return "names no absolute path: unix:///path/to/socket";
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) return `names a path of more than ${MAX_SOCKET_PATH_BYTES} bytes, which no socket can have`;
  return { uri, target: `unix:${path}` };
}

function tcpEndpoint(uri: string): WorkloadApiEndpoint | string {
  const [, host = "", port = ""] = /^tcp:\/\/([^/@]*):(\d{1,5})$/.exec(uri) ?? [];
  if (host === "" || Number(port) < 1 || Number(port) > 65_535) return "is not tcp://IP:PORT";
  if (!LOOPBACK.test(host)) return "is not on loopback (127.0.0.0/8, [::1]): the key would cross a network in the clear";
  return { uri, target: `${host.startsWith("[") ? "ipv6" : "ipv4"}:${host}:${Number(port)}` };
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
