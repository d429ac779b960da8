import { freePorts } from "./free-ports.ts";
import type { Network, PodName, PodPlace } from "./network.ts";

/** The ports written in `examples/demo/loopback`. */
const WRITTEN = { productpage: "19080", v1: "19081", v2: "19082", visitor: "19083", applicationV1: "18081", applicationV2: "18082" } as const;
type PortName = keyof typeof WRITTEN;

const ADDRESS = "127.0.0.1";
const PROXY_FLAGS = [
  "--bind", ADDRESS, "--outbound-port", "0", "--inbound-port", "0",
  "--admin-port", "0", "--status-port", "0", "--ready-port", "0", "--metrics-port", "0",
];

/** All pods on 127.0.0.1, told apart by port; what the sidecars listen on is said by `Sidecar` resources. */
export class LoopbackNetwork implements Network {
  readonly description = "on this machine's loopback address, told apart by port";
  readonly examples = "loopback";
  readonly isShared = true;
  readonly substitutions: ReadonlyMap<string, string>;
  readonly #ports: Readonly<Record<PortName, number>>;

  private constructor(ports: Readonly<Record<PortName, number>>) {
    this.#ports = ports;
    this.substitutions = new Map(Object.entries(WRITTEN).map(([name, written]) => [written, `${ports[name as PortName]}`]));
  }

  static async create(): Promise<LoopbackNetwork> {
    const names = Object.keys(WRITTEN) as PortName[];
    const free = await freePorts(names.length);
    const ports = Object.fromEntries(names.map((name, at) => [name, free[at]])) as Record<PortName, number>;
    return new LoopbackNetwork(ports);
  }

  get directUrl(): string {
    return `http://${ADDRESS}:${this.#ports.v1}`;
  }

  pod(_name: PodName): PodPlace {
    return { address: ADDRESS, proxyFlags: PROXY_FLAGS, enter: (words) => words };
  }

  application(version: "v1" | "v2"): { readonly address: string; readonly port: number } {
    return { address: ADDRESS, port: version === "v1" ? this.#ports.applicationV1 : this.#ports.applicationV2 };
  }

  endpointAddress(version: "v1" | "v2"): string {
    return `${ADDRESS}:${this.#ports[version]}`;
  }

  callUrl(caller: "productpage" | "visitor"): string {
    return `http://${ADDRESS}:${this.#ports[caller]}`;
  }

  outside(words: readonly string[]): readonly string[] {
    return words;
  }

  capture(): Promise<void> {
    return Promise.resolve();
  }

  shell(_name: PodName): string {
    return "";
  }

  destroy(): void {
    // Nothing was made.
  }
}
