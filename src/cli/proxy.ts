import { readFileSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { type ProxyOptions, runProxy } from "../main.ts";
import type { IdentitySettings } from "../control/identity-control.ts";
import { parseWorkloadApiEndpoint } from "../control/workload-api-endpoint.ts";
import { Cidr } from "../core/cidr.ts";
import { visibleText } from "../core/visible-text.ts";
import { isLogLevel } from "../telemetry/log.ts";
import type { AdminAccess } from "../admin/admin-servers.ts";
import { MIN_TOKEN_LENGTH } from "../admin/token-guard.ts";
import { describeFlags, type FlagValues, readFlags, UsageError } from "./command-flags.ts";
import { PROXY_FLAGS } from "./proxy-flags.ts";
import { startSettings } from "./start-settings.ts";
import { VERSION } from "./version.ts";
import { workloadFromEnvironment } from "./workload-environment.ts";

const HELP = `Usage: outrider proxy [options]

Runs the sidecar. The workload is described by POD_NAME, POD_NAMESPACE, SERVICE_ACCOUNT, INSTANCE_IP (its addresses,
comma-separated), POD_LABELS (k=v,k=v) or POD_LABELS_FILE (default /etc/podinfo/labels), NODE_NAME, and TRUST_DOMAIN.
SIGTERM drains and exits 0, a second one exits at once; SIGHUP reloads.

`;
const MAX_PORT = 65_535;

/** `outrider proxy`: runs until it is told to end. Exit code 2: it could not start, the reason is on stderr. */
export async function proxy(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const flags = readFlags(PROXY_FLAGS, args, environment);
    if (flags === null) {
      process.stdout.write(HELP + describeFlags(PROXY_FLAGS));
      return 0;
    }
    return await runProxy(configuredOptions(flags, args, environment));
  } catch (error) {
    process.stderr.write(`outrider proxy: ${visibleText((error as Error).message)}\n`);
    return 2;
  }
}

/** The options with what the configuration says of them below the command line and the environment. @throws UsageError */
function configuredOptions(flags: FlagValues, args: readonly string[], environment: NodeJS.ProcessEnv): ProxyOptions {
  const own = toOptions(flags, environment);
  const settings = startSettings(own.configPaths, own.workload);
  if (settings.size === 0) return own;
  const given = Object.entries(environment).filter(([, value]) => value !== "");
  const merged = { ...Object.fromEntries(settings), ...Object.fromEntries(given) };
  try {
    return toOptions(readFlags(PROXY_FLAGS, args, merged) ?? flags, environment);
  } catch (error) {
    // Its own arguments were good: what the mesh says of them must not keep a pod from starting.
    process.stderr.write(`outrider proxy: ProxyConfig is not obeyed: ${visibleText((error as Error).message)}\n`);
    return own;
  }
}

function toOptions(flags: FlagValues, environment: NodeJS.ProcessEnv): ProxyOptions {
  const port = (name: string): number => flags.number(name, 0, MAX_PORT);
  const optionalPort = (name: string): number | null => (flags.text(name) === "" ? null : port(name));
  const logLevel = flags.text("log-level");
  const logFormat = flags.text("log-format");
  const configPaths = flags.list("config");
  const state = flags.text("state");
  // With a configuration kept on disk it is decided there whether one is left.
  if (state === "") for (const path of configPaths) requireReachable(path);
  if (!isLogLevel(logLevel)) throw new UsageError(`--log-level: ${JSON.stringify(logLevel)} is not debug, info, warn or error`);
  if (logFormat !== "json" && logFormat !== "text") throw new UsageError(`--log-format: ${JSON.stringify(logFormat)} is neither json nor text`);
  return {
    version: VERSION,
    workload: workloadFromEnvironment({ ...environment, OUTRIDER_LOCALITY: flags.text("locality") }, hostname()),
    configPaths,
    certificateDirectory: flags.text("certs"),
    identity: identitySettings(flags),
    stateDirectory: state === "" ? null : state,
    concurrency: flags.number("concurrency", 1, 64),
    bindAddress: flags.text("bind"),
    capturePorts: { outbound: port("outbound-port"), inbound: port("inbound-port"), hbone: optionalPort("hbone-port") },
    adminPorts: { admin: port("admin-port"), status: port("status-port"), ready: port("ready-port"), metrics: port("metrics-port") },
    adminAccess: adminAccess(flags),
    keysAllowedFrom: addressBlocks("jwks-allow", flags.text("jwks-allow")),
    dnsPort: optionalPort("dns-port"),
    closeExpired: flags.isOn("close-expired"),
    drainSeconds: flags.number("drain", 0, 3600),
    logLevel,
    logFormat,
  };
}

/** Who may use the admin pages. Pages that nobody could read would be a mistake. @throws UsageError */
function adminAccess(flags: FlagValues): AdminAccess {
  const reads = flags.text("admin-reads");
  const token = readToken(flags.text("admin-token-file"));
  const socketPath = flags.text("admin-socket") || null;
  if (reads !== "open" && reads !== "token") throw new UsageError(`--admin-reads: ${JSON.stringify(reads)} is neither open nor token`);
  if (reads === "token" && token === null && socketPath === null) throw new UsageError("--admin-reads token needs --admin-token-file or --admin-socket");
  return { token, reads, socketPath, allowsQuit: flags.isOn("allow-quit") };
}

/** Where the identity comes from. A Workload API has no usual place: a socket that somebody else put there would be believed. @throws UsageError */
function identitySettings(flags: FlagValues): IdentitySettings {
  const source = flags.text("identity");
  if (source === "files") return { source, directory: flags.text("certs") };
  if (source !== "spiffe") throw new UsageError(`--identity: ${JSON.stringify(source)} is neither files nor spiffe`);
  const uri = flags.text("spiffe-socket");
  if (uri === "") throw new UsageError("--identity spiffe needs --spiffe-socket or SPIFFE_ENDPOINT_SOCKET, such as unix:///run/spire/agent-sockets/spire-agent.sock");
  const endpoint = parseWorkloadApiEndpoint(uri);
  if (typeof endpoint === "string") throw new UsageError(`--spiffe-socket: ${JSON.stringify(uri)} ${endpoint}`);
  return { source, endpoint, hint: flags.text("spiffe-hint") || null };
}

/** A path that is not there yet would be an empty configuration, in which everything is allowed. @throws UsageError */
function requireReachable(path: string): void {
  try {
    statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`--config: ${path} ${code === "ENOENT" ? "does not exist" : `cannot be read (${code ?? "unknown error"})`}`);
  }
}

/** Blocks of addresses, separated by commas. @throws UsageError */
function addressBlocks(flag: string, text: string): string[] {
  const blocks = text.split(",").map((block) => block.trim()).filter((block) => block !== "");
  const bad = blocks.find((block) => Cidr.parse(block) === null);
  if (bad !== undefined) throw new UsageError(`--${flag}: ${JSON.stringify(bad)} is not an address or a block of addresses`);
  return blocks;
}

/** The token in a file, read once; null for no file. @throws UsageError for one that cannot be read, or can be guessed. */
function readToken(file: string): string | null {
  if (file === "") return null;
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new UsageError(`--admin-token-file: ${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`);
  }
  if (token.length < MIN_TOKEN_LENGTH || /\s/.test(token)) throw new UsageError(`--admin-token-file: ${file} must hold one word of at least ${MIN_TOKEN_LENGTH} characters`);
  return token;
}
