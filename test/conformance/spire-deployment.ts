import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort } from "../integration/free-port.ts";
import { eventually } from "../integration/proxy-under-test.ts";
import { RunningProgram } from "../netns/running-program.ts";
import { findPeer, type Peer } from "./peers.ts";
import { runProgram } from "./run-program.ts";

const SPIRE = { module: "github.com/spiffe/spire", version: "v1.14.0" };

export const SPIRE_SERVER: Peer = { ...SPIRE, name: "SPIRE's server", source: `${SPIRE.module}/cmd/spire-server`, program: "spire-server", variable: "OUTRIDER_SPIRE_SERVER" };
export const SPIRE_AGENT: Peer = { ...SPIRE, name: "SPIRE's agent", source: `${SPIRE.module}/cmd/spire-agent`, program: "spire-agent", variable: "OUTRIDER_SPIRE_AGENT" };

const TRUST_DOMAIN = "cluster.local";
const NODE = `spiffe://${TRUST_DOMAIN}/node`;
const COMMAND_MS = 20_000;

/** A SPIRE server and an agent that has joined it, in a folder of their own, on loopback. */
export class SpireDeployment {
  readonly #folder = mkdtempSync(join(tmpdir(), "outrider-spire-"));
  readonly #server: RunningProgram;
  readonly #port: number;
  #agent: RunningProgram | null = null;

  private constructor(port: number) {
    this.#port = port;
    for (const name of ["server", "agent"]) mkdirSync(join(this.#folder, name), { mode: 0o700 });
    writeFileSync(this.#path("server.conf"), serverConfiguration(this.#folder, port));
    this.#server = program(SPIRE_SERVER, ["run", "-config", this.#path("server.conf")]);
  }

  static async start(): Promise<SpireDeployment> {
    const spire = new SpireDeployment(await freePort());
    try {
      await eventually(async () => (await spire.#tell("healthcheck")).code === 0, "SPIRE's server is healthy");
      writeFileSync(spire.#path("bundle.pem"), await spire.#ask("bundle", "show"));
      const token = /Token: (\S+)/.exec(await spire.#ask("token", "generate", "-spiffeID", NODE))?.[1] ?? "";
      writeFileSync(spire.#path("agent.conf"), agentConfiguration(spire.#folder, spire.#port, token));
      await spire.startAgent();
      return spire;
    } catch (error) {
      await spire.stop();
      throw error;
    }
  }

  /** As `SPIFFE_ENDPOINT_SOCKET` has it. */
  get uri(): string {
    return `unix://${this.#path("agent.sock")}`;
  }

  /** Starts the agent, again too: it keeps its key and needs no second token. */
  async startAgent(): Promise<void> {
    this.#agent = program(SPIRE_AGENT, ["run", "-config", this.#path("agent.conf")]);
    const healthcheck = ["healthcheck", "-socketPath", this.#path("agent.sock")];
    await eventually(async () => (await runProgram(findPeer(SPIRE_AGENT) ?? "", healthcheck, COMMAND_MS)).code === 0, "SPIRE's agent is healthy");
  }

  async stopAgent(): Promise<void> {
    await this.#agent?.stop("SIGKILL");
    this.#agent = null;
  }

  /** Whoever runs as we do gets this ID; gives the entry's own. */
  async createEntry(spiffeId: string, hint: string): Promise<string> {
    const output = await this.#ask("entry", "create", "-parentID", NODE, "-spiffeID", spiffeId, "-selector", `unix:uid:${process.getuid?.() ?? 0}`, "-hint", hint);
    return /Entry ID\s*: (\S+)/.exec(output)?.[1] ?? "";
  }

  async deleteEntry(id: string): Promise<void> {
    await this.#ask("entry", "delete", "-entryID", id);
  }

  async stop(): Promise<void> {
    await this.stopAgent();
    await this.#server.stop("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #ask(...words: readonly string[]): Promise<string> {
    const { code, output } = await this.#tell(...words);
    if (code !== 0) throw new Error(`spire-server ${words.join(" ")}: ${output}`);
    return output;
  }

  #tell(...words: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
    return runProgram(findPeer(SPIRE_SERVER) ?? "", [...words, "-socketPath", this.#path("server.sock")], COMMAND_MS);
  }
}

function program(peer: Peer, args: readonly string[]): RunningProgram {
  return new RunningProgram([findPeer(peer) ?? "", ...args], { PATH: process.env["PATH"] });
}

function serverConfiguration(folder: string, port: number): string {
  return `server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${folder}/server.sock"
  trust_domain = "${TRUST_DOMAIN}"
  data_dir = "${folder}/server"
  log_level = "WARN"
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${folder}/server/datastore.sqlite3"
    }
  }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
`;
}

function agentConfiguration(folder: string, port: number, token: string): string {
  return `agent {
  data_dir = "${folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "${port}"
  socket_path = "${folder}/agent.sock"
  trust_bundle_path = "${folder}/bundle.pem"
  trust_domain = "${TRUST_DOMAIN}"
  join_token = "${token}"
}
plugins {
  KeyManager "disk" {
    plugin_data { directory = "${folder}/agent" }
  }
  NodeAttestor "join_token" { plugin_data {} }
  WorkloadAttestor "unix" { plugin_data {} }
}
`;
}
