import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

import { type Network, POD_NAMES, type PodName, type PodPlace, type PodUser } from "./network.ts";
import type { Workspace } from "./workspace.ts";

/** Addresses written in `examples/demo/capture`. They exist only inside the namespaces. */
const ADDRESSES: Readonly<Record<PodName, string>> = {
  "reviews-v1": "10.77.0.1", "reviews-v2": "10.77.0.2", productpage: "10.77.0.3", visitor: "10.77.0.4",
};
/** Of the bridge, and so of whoever is outside of all pods; every other address is routed there. */
const BRIDGE_ADDRESS = "10.77.0.254";
const SERVICE_URL = "http://10.96.0.10:9080";
const APPLICATION_PORT = 9080;
const USERS: Readonly<Record<PodUser, number>> = { application: 1000, proxy: 1337, root: 0 };
/** What Istio's injector gives to its init container. */
const INIT_FLAGS = ["-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"];
const NEEDED = [["ip", "-V"], ["iptables-restore", "--version"], ["setpriv", "--version"]] as const;

/**
 * A network namespace for each pod, joined by a bridge in a namespace of its own, so that nothing of the machine's
 * network is touched. In each pod `outrider init` brings every connection to the sidecar, which runs as user 1337.
 */
export class CaptureNetwork implements Network {
  readonly description = "in network namespaces, every connection captured by iptables";
  readonly examples = "capture";
  readonly isShared = false;
  readonly substitutions: ReadonlyMap<string, string> = new Map();
  readonly directUrl = `http://${ADDRESSES["reviews-v1"]}:${APPLICATION_PORT}`;
  readonly #workspace: Workspace;
  readonly #prefix: string;
  readonly #made: string[] = [];

  private constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#prefix = `outrider-demo-${process.pid}`;
  }

  /** Why captured traffic cannot be shown here, in one sentence; null when it can. */
  static problem(environment: NodeJS.ProcessEnv): string | null {
    if (process.platform !== "linux") return "--capture needs Linux";
    if (process.getuid?.() !== 0) return "--capture needs root: it makes network namespaces and iptables rules (without it the demo needs nothing)";
    for (const [program, ...args] of NEEDED) {
      if (spawnSync(program, args, { env: environment }).status !== 0) return `--capture needs ${program} (Debian: apt-get install iptables iproute2 util-linux)`;
    }
    return null;
  }

  static create(workspace: Workspace): CaptureNetwork {
    const network = new CaptureNetwork(workspace);
    try {
      network.#makeBridge();
      for (const [at, name] of POD_NAMES.entries()) network.#makePod(name, `port${at + 1}`);
    } catch (error) {
      network.destroy();
      throw error;
    }
    return network;
  }

  pod(name: PodName): PodPlace {
    return { address: ADDRESSES[name], proxyFlags: [], enter: (words, user) => this.#enter(this.#namespace(name), words, USERS[user]) };
  }

  application(_version: "v1" | "v2"): { readonly address: string; readonly port: number } {
    return { address: "0.0.0.0", port: APPLICATION_PORT };
  }

  endpointAddress(version: "v1" | "v2"): string {
    return `${ADDRESSES[`reviews-${version}`]}:${APPLICATION_PORT}`;
  }

  callUrl(_caller: "productpage" | "visitor"): string {
    return SERVICE_URL;
  }

  outside(words: readonly string[]): readonly string[] {
    return this.#enter(this.#namespace("wire"), words, USERS.application);
  }

  async capture(): Promise<void> {
    const { outrider } = this.#workspace.setting;
    await Promise.all(POD_NAMES.map((name) => this.#workspace.run(`init-${name}`, this.pod(name).enter([...outrider, "init", ...INIT_FLAGS], "root"))));
  }

  shell(name: PodName): string {
    return `ip netns exec ${this.#namespace(name)} `;
  }

  destroy(): void {
    for (const namespace of this.#made) if (existsSync(`/run/netns/${namespace}`)) this.#ip("netns", "del", namespace);
    this.#made.length = 0;
  }

  #namespace(name: string): string {
    return `${this.#prefix}-${name}`;
  }

  #makeNamespace(name: string): string {
    const namespace = this.#namespace(name);
    this.#ip("netns", "add", namespace);
    this.#made.push(namespace);
    this.#workspace.guard.watchNamespace(namespace);
    this.#ip("-n", namespace, "link", "set", "lo", "up");
    return namespace;
  }

  #makeBridge(): void {
    const wire = this.#makeNamespace("wire");
    this.#ip("-n", wire, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0");
    this.#ip("-n", wire, "addr", "add", `${BRIDGE_ADDRESS}/24`, "dev", "br0");
    this.#ip("-n", wire, "link", "set", "br0", "up");
  }

  #makePod(name: PodName, port: string): void {
    const wire = this.#namespace("wire");
    const namespace = this.#makeNamespace(name);
    this.#ip("link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", port, "netns", wire);
    this.#ip("-n", wire, "link", "set", port, "master", "br0", "up");
    this.#ip("-n", namespace, "addr", "add", `${ADDRESSES[name]}/24`, "dev", "eth0");
    this.#ip("-n", namespace, "link", "set", "eth0", "up");
    this.#ip("-n", namespace, "route", "add", "default", "via", BRIDGE_ADDRESS);
  }

  #enter(namespace: string, words: readonly string[], user: number): readonly string[] {
    const inside = ["ip", "netns", "exec", namespace];
    if (user === 0) return [...inside, ...words];
    // The one capability lets another user read this program and its files wherever they lie, a private folder included.
    const mayRead = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"];
    return [...inside, "setpriv", "--reuid", `${user}`, "--regid", `${user}`, "--clear-groups", ...mayRead, "--", ...words];
  }

  #ip(...words: readonly string[]): void {
    const done = spawnSync("ip", words, { encoding: "utf8", env: this.#workspace.setting.environment });
    if (done.status !== 0) throw new Error(`ip ${words.join(" ")}: ${done.error?.message ?? done.stderr.trim()}`);
  }
}
