import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A program of somebody else's that Outrider is tried against. */
export interface Peer {
  /** What it is called in the report. */
  readonly name: string;
  /** Its Go module. */
  readonly module: string;
  /** What `go install` is told, without the version. */
  readonly source: string;
  /** The module's version that is known to work. */
  readonly version: string;
  /** The revision that is asked for where it is not that version. */
  readonly wanted?: string;
  /** What the file on PATH is called. */
  readonly program: string;
  /** The environment variable that names the file instead. */
  readonly variable: string;
}

const GRPC = { module: "google.golang.org/grpc", version: "v1.83.1" };

export const H2SPEC: Peer = {
  name: "h2spec", module: "github.com/summerwind/h2spec", source: "github.com/summerwind/h2spec/cmd/h2spec",
  version: "v2.2.1+incompatible", wanted: "af83a65f0b62", program: "h2spec", variable: "OUTRIDER_H2SPEC",
};
export const GRPC_CLIENT: Peer = {
  ...GRPC, name: "grpc-go's interop client", source: `${GRPC.module}/interop/client`, program: "grpc_interop_client", variable: "OUTRIDER_GRPC_INTEROP_CLIENT",
};
export const GRPC_SERVER: Peer = {
  ...GRPC, name: "grpc-go's interop server", source: `${GRPC.module}/interop/server`, program: "grpc_interop_server", variable: "OUTRIDER_GRPC_INTEROP_SERVER",
};

/** The peer's file; null when it is not on this machine. */
export function findPeer({ program, variable }: Peer): string | null {
  const named = process.env[variable];
  if (named !== undefined && named !== "") return isExecutable(named) ? named : null;
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find(isExecutable) ?? null;
}

/** Why a suite does not run here, as a line to print; null when all its peers are there. */
export function whySkipped(...peers: readonly Peer[]): string | null {
  const missing = peers.filter((peer) => findPeer(peer) === null);
  if (missing.length === 0) return null;
  return missing.map(({ name, program, variable }) => `skipped: ${name} is neither on PATH as ${program} nor named by ${variable}\n`).join("");
}

/** The module's version that Go wrote into the program; "unknown" for one that was built some other way. */
export function versionOf(file: string, module: string): string {
  const text = readFileSync(file).toString("latin1");
  return text.match(new RegExp(`mod\\t${module.replaceAll(".", "\\.")}\\t([^\\t\\n]+)`))?.[1] ?? "unknown";
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
