import { type ExplainRequest, parseExplainRequest } from "../explain/explain-request.ts";
import type { Direction } from "../message/stream-info.ts";
import { type Flag, type FlagValues, UsageError } from "./command-flags.ts";
import { WORKLOAD_FLAGS } from "./workload-flags.ts";

const text = (name: string, value: string, help: string, fallback = ""): Flag => ({ name, kind: "text", environment: null, fallback, value, help });

/** The flags of `outrider explain`, as the contract with users and scripts has them. */
export const EXPLAIN_FLAGS: readonly Flag[] = [
  { name: "config", kind: "list", environment: "OUTRIDER_CONFIG", fallback: "/etc/outrider/config", value: "PATH", help: "configuration folder or file; may be given several times" },
  text("direction", "DIRECTION", "inbound: it arrives for the workload; outbound: the workload sends it"),
  ...WORKLOAD_FLAGS,
  text("from", "SPIFFE-ID", "who calls: inbound, what the certificate of the caller proves"),
  text("to", "HOST:PORT", "what is dialled; default: the host and port of the URL, inbound the workload's port"),
  { name: "header", short: "H", kind: "list", environment: null, fallback: "", value: "'NAME: VALUE'", help: "a header of the request; may be given several times" },
  text("source-ip", "ADDR", "address the connection comes from"),
  text("tls", "true|false", "whether the connection is TLS; default: as a caller with an identity would do it, and for https URLs"),
  text("sni", "NAME", "server name of the handshake"),
  text("protocol", "http|tcp", "tcp is an opaque connection to --to", "http"),
  text("jwt", "JSON", "claims of a token that is taken as verified"),
  text("requests", "FILE", "decides the requests of a file, or with - those on stdin, a JSON object on each line"),
  text("replay", "LOG", "decides the requests of a JSON access log, or with - of stdin, by the configuration of --against"),
  { name: "against", kind: "list", environment: null, fallback: "", value: "PATH", help: "with --replay: the new configuration; --config, if given, is the old one" },
  { name: "output", short: "o", kind: "text", environment: null, fallback: "text", value: "FORMAT", help: "text, a few sentences; or json, an object on a line for each request" },
];

/** The direction the flags name; null: none. @throws UsageError */
export function directionOf(flags: FlagValues): Direction | null {
  const direction = flags.text("direction");
  if (direction === "") return null;
  if (direction !== "inbound" && direction !== "outbound") throw new UsageError(`--direction: ${JSON.stringify(direction)} is neither inbound nor outbound`);
  return direction;
}

/** The one request a command line tells of. @throws UsageError, InvalidExplainRequest */
export function requestOf(flags: FlagValues): ExplainRequest {
  const direction = directionOf(flags);
  if (direction === null) throw new UsageError("--direction is required: inbound or outbound");
  const { positionals } = flags;
  if (positionals.length > 2) throw new UsageError(`takes METHOD and URL, not also ${JSON.stringify(positionals[2])}`);
  const [method, url] = positionals.length === 2 ? positionals : ["GET", positionals[0]];
  const optional = (name: string): string | null => (flags.text(name) === "" ? null : flags.text(name));
  return parseExplainRequest({
    direction,
    from: optional("from"),
    to: optional("to"),
    method,
    url: url ?? null,
    headers: flags.list("header").map(headerOf),
    sourceIp: optional("source-ip"),
    tls: switchOf(flags, "tls"),
    sni: optional("sni"),
    protocol: flags.text("protocol"),
    jwt: claimsOf(flags.text("jwt")),
  });
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(":");
  if (colon <= 0) throw new UsageError(`--header: ${JSON.stringify(line)} is not 'NAME: VALUE'`);
  return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

function switchOf(flags: FlagValues, name: string): boolean | null {
  const value = flags.text(name);
  if (value === "") return null;
  if (value !== "true" && value !== "false") throw new UsageError(`--${name}: ${JSON.stringify(value)} is neither true nor false`);
  return value === "true";
}

function claimsOf(json: string): unknown {
  if (json === "") return null;
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UsageError(`--jwt: is not JSON: ${(error as Error).message}`);
  }
}
