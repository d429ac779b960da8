import type { OutboundListenerSpec, OutboundSpec, RouteTableSpec } from "../snapshot.ts";
import type { ProblemList } from "./problem-list.ts";
import { compareText } from "./resource-order.ts";
import type { Service } from "./service.ts";

/** A listener's name in logs and metrics: `0.0.0.0_9080`, `10.0.0.1_3306`. */
export function listenerName(address: string | null, port: number): string {
  return `${address ?? "0.0.0.0"}_${port}`;
}

interface Claim {
  readonly listener: OutboundListenerSpec;
  readonly owner: Service | null;
}

/** The logical listeners under construction: an address and port is the first's that claims it, which is the oldest. */
export class ListenerSet {
  readonly #listeners = new Map<string, Claim>();
  readonly #tables = new Map<string, RouteTableSpec>();
  readonly #problems: ProblemList;

  constructor(problems: ProblemList) {
    this.#problems = problems;
  }

  /**
   * Adds a listener with its route table.
   *
   * @param owner the service it is for, named to its rivals; null when it is shared.
   */
  add(listener: OutboundListenerSpec, table: RouteTableSpec | null, owner: Service | null): void {
    const key = `${listener.address ?? "*"} ${listener.port}`;
    const rival = this.#listeners.get(key);
    if (rival !== undefined) {
      if (owner !== null && rival.owner !== owner) {
        const winner = rival.owner === null ? "a listener of the Sidecar resource" : rival.owner.host;
        this.#problems.warning(owner.resource, ["spec", "ports"], `${owner.host} port ${listener.port} is not reachable: ${winner} has ${listener.name.replace("_", ":")} already`, "unreachable-port");
      }
      return;
    }
    this.#listeners.set(key, { listener, owner });
    if (table !== null) this.#tables.set(table.name, table);
  }

  /** Whether a listener for the address, null for any, and port exists. */
  has(address: string | null, port: number): boolean {
    return this.#listeners.has(`${address ?? "*"} ${port}`);
  }

  /** All of them in a fixed order. */
  toSpec(catchAll: OutboundSpec["catchAll"]): OutboundSpec {
    const listeners = [...this.#listeners.values()].map((claim) => claim.listener)
      .toSorted((a, b) => a.port - b.port || compareText(a.address ?? "", b.address ?? ""));
    return {
      listeners,
      routeTables: [...this.#tables.values()].toSorted((a, b) => compareText(a.name, b.name)),
      catchAll,
    };
  }
}
