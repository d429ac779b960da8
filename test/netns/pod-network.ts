import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

import { Pod } from "./pod.ts";
import { WireCapture } from "./wire-capture.ts";

/** Distinguishes networks of one process. */
let networks = 0;

const namePrefix = "outrider-test";

/**
 * Pods on one wire: each a network namespace with `lo` and `eth0`, joined by a bridge that lies in a namespace of its
 * own, so that nothing outside is touched. Pod N has 10.77.0.N and fd77::N; whatever is not on the wire is routed to
 * the bridge (10.77.0.254, fd77::fe), which lets a pod send to any address.
 */
export class PodNetwork {
  readonly #prefix: string;
  readonly #wire: string;
  readonly #pods = new Map<string, Pod>();
  readonly #captures: WireCapture[] = [];

  private constructor(prefix: string) {
    this.#prefix = prefix;
    this.#wire = `${prefix}-wire`;
  }

  /** Makes a network with a pod for each name. What a killed test run left behind is removed first. */
  static create(...podNames: readonly string[]): PodNetwork {
    removeStale();
    const network = new PodNetwork(`${namePrefix}-${process.pid}-${++networks}`);
    try {
      network.#makeWire();
      for (const name of podNames) network.addPod(name);
    } catch (error) {
      network.#deleteNamespaces();
      throw error;
    }
    return network;
  }

  /** Adds a pod to the wire. */
  addPod(name: string): Pod {
    const number = this.#pods.size + 1;
    const namespace = `${this.#prefix}-${name}`;
    const pod = new Pod(name, namespace, `10.77.0.${number}`, `fd77::${number.toString(16)}`);
    this.#pods.set(name, pod);
    ip(["netns", "add", namespace]);
    const port = `port${number}`;
    ip(["link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", port, "netns", this.#wire]);
    ip(["-n", this.#wire, "link", "set", port, "master", "br0", "up"]);
    ip(["-n", namespace, "link", "set", "lo", "up"]);
    ip(["-n", namespace, "addr", "add", `${pod.ipv4}/24`, "dev", "eth0"]);
    // Without duplicate address detection the address can be used at once.
    ip(["-n", namespace, "addr", "add", `${pod.ipv6}/64`, "dev", "eth0", "nodad"]);
    ip(["-n", namespace, "link", "set", "eth0", "up"]);
    ip(["-n", namespace, "route", "add", "default", "via", "10.77.0.254"]);
    ip(["-n", namespace, "-6", "route", "add", "default", "via", "fd77::fe"]);
    return pod;
  }

  /** The pod of that name. */
  pod(name: string): Pod {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new Error(`no pod is called ${name}`);
    return pod;
  }

  /** Collects what crosses the wire from now on; `filter` is tcpdump's, for instance `tcp port 9080`. */
  async captureWire(filter = "ip or ip6"): Promise<WireCapture> {
    const capture = new WireCapture(this.#wire, "br0", filter);
    this.#captures.push(capture);
    await capture.started();
    return capture;
  }

  /** Ends every program still running in a pod and removes the namespaces with all that is in them. */
  async destroy(): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => pod.stopAll()));
    await Promise.all(this.#captures.map((capture) => capture.stop()));
    this.#deleteNamespaces();
  }

  #makeWire(): void {
    ip(["netns", "add", this.#wire]);
    ip(["-n", this.#wire, "link", "set", "lo", "up"]);
    ip(["-n", this.#wire, "link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0"]);
    ip(["-n", this.#wire, "addr", "add", "10.77.0.254/24", "dev", "br0"]);
    ip(["-n", this.#wire, "addr", "add", "fd77::fe/64", "dev", "br0", "nodad"]);
    ip(["-n", this.#wire, "link", "set", "br0", "up"]);
  }

  #deleteNamespaces(): void {
    for (const namespace of [...[...this.#pods.values()].map((pod) => pod.namespace), this.#wire]) {
      if (existsSync(`/run/netns/${namespace}`)) ip(["netns", "del", namespace]);
    }
  }
}

/** Runs `ip`; throws with what it said. */
function ip(words: readonly string[]): void {
  const done = spawnSync("ip", words, { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`ip ${words.join(" ")}: ${done.error?.message ?? done.stderr.trim()}`);
}

/** Removes the namespaces of test processes that are gone. */
function removeStale(): void {
  if (!existsSync("/run/netns")) return;
  for (const namespace of readdirSync("/run/netns")) {
    const pid = new RegExp(`^${namePrefix}-(\\d+)-`).exec(namespace)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip(["netns", "del", namespace]);
  }
}
