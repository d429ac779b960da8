/** The pods of the demo. */
export const POD_NAMES = ["reviews-v1", "reviews-v2", "productpage", "visitor"] as const;
export type PodName = (typeof POD_NAMES)[number];

/** Which of a pod's users runs a program; without capture all are the one who runs the demo. */
export type PodUser = "application" | "proxy" | "root";

/** Where and as whom the programs of one pod run. */
export interface PodPlace {
  /** Its address, `INSTANCE_IP`. */
  readonly address: string;
  /** Flags of its sidecar besides configuration and certificates. */
  readonly proxyFlags: readonly string[];
  /** The words that run `words` there. */
  enter(words: readonly string[], user: PodUser): readonly string[];
}

/** What the pods of the demo are connected by: this machine's loopback, or network namespaces with captured traffic. */
export interface Network {
  /** For the first lines of the story. */
  readonly description: string;
  /** Folder in `examples/demo` with the configuration that only holds here. */
  readonly examples: string;
  /** What is written otherwise in the copy of those files: text to text, each found at least once. */
  readonly substitutions: ReadonlyMap<string, string>;
  /** All pods have one loopback address: an operator reaches every sidecar's admin pages from anywhere. */
  readonly isShared: boolean;
  pod(name: PodName): PodPlace;
  /** Where the application of a version listens. */
  application(version: "v1" | "v2"): { readonly address: string; readonly port: number };
  /** The endpoint of a version, as the callers' sidecars know it. */
  endpointAddress(version: "v1" | "v2"): string;
  /** Where a caller's application sends what is for reviews. */
  callUrl(caller: "productpage" | "visitor"): string;
  /** The pod of v1 itself, for somebody outside of the mesh. */
  readonly directUrl: string;
  /** The words that run `words` outside of all pods, from where `directUrl` can be reached. */
  outside(words: readonly string[]): readonly string[];
  /** Brings the pods' traffic to their sidecars, where that is done by rules. */
  capture(): Promise<void>;
  /** Words to put before a `curl` in a pod; empty where the machine itself will do. */
  shell(name: PodName): string;
  /** Ends the network; the programs in it have ended. */
  destroy(): void;
}
