import type { Caller } from "./caller.ts";
import type { Program } from "./program.ts";

/** One endpoint as `/clusters` shows it. */
export interface EndpointView {
  readonly address: string;
  readonly isEjected: boolean;
  /** How often it was ejected. */
  readonly ejections: number;
}

/** Ports of a running sidecar, by what they are for. */
export type SidecarPorts = Readonly<Record<"admin" | "metrics" | "ready", number>>;

interface ClustersPage {
  readonly cluster_statuses: readonly {
    readonly name: string;
    readonly endpoints: readonly { readonly address: string; readonly health_flags: string; readonly ejections: number }[];
  }[];
}

interface CertificatesPage {
  readonly certificates: readonly { readonly spiffeId: string; readonly generation: number; readonly expires: string }[];
}

interface StatusPage {
  readonly generation: number;
  readonly problems: readonly string[];
  readonly listenerProblems: readonly string[];
}

/** A running `outrider proxy`, as its operator sees it: its log, and its admin pages from within its pod. */
export class Sidecar {
  readonly ports: SidecarPorts;
  readonly program: Program;
  readonly #operator: Caller;

  /** `operator` sends from the sidecar's pod: admin pages are on its loopback address. */
  constructor(program: Program, ports: SidecarPorts, operator: Caller) {
    this.program = program;
    this.ports = ports;
    this.#operator = operator;
  }

  async endpoints(cluster: string): Promise<EndpointView[]> {
    const page = (await this.#page("/clusters?format=json")) as ClustersPage;
    const found = page.cluster_statuses.find(({ name }) => name === cluster);
    return (found?.endpoints ?? []).map(({ address, health_flags: flags, ejections }) => ({
      address, ejections, isEjected: flags.includes("/failed_outlier_check"),
    }));
  }

  async certificate(): Promise<CertificatesPage["certificates"][number]> {
    const { certificates } = (await this.#page("/certs")) as CertificatesPage;
    const [own] = certificates;
    if (own === undefined) throw new Error(`${this.program.name} has no certificate`);
    return own;
  }

  async configuration(): Promise<StatusPage> {
    return (await this.#page("/config/status")) as StatusPage;
  }

  #page(path: string): Promise<unknown> {
    return this.#operator.page(`http://127.0.0.1:${this.ports.admin}${path}`);
  }
}
