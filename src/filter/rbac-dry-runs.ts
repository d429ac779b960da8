import type { AuthorizationSpec, PolicySpec } from "../config/snapshot-security.ts";
import type { DryRunVerdict } from "./rbac.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";

/** What one policy in dry run would have come to, for `/config/status`. Plain data. */
export interface DryRunReport {
  /** `namespace/name`. */
  readonly policy: string;
  readonly action: "ALLOW" | "DENY";
  readonly file: string;
  readonly line: number;
  /** Requests and connections that passed, and that it would have refused. */
  readonly wouldDeny: number;
  /** Those that it would have let pass, refused as they may have been. */
  readonly wouldAllow: number;
  /** The last it would have refused; null: none. */
  readonly lastDenied: DryRunDenial | null;
}

export interface DryRunDenial {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** SPIFFE ID; null: it proved none. */
  readonly peer: string | null;
  readonly port: number;
  /** `GET a.test /path`; null on TCP. */
  readonly request: string | null;
}

const MAX_TEXT = 256;

interface Tally {
  readonly policy: PolicySpec;
  readonly action: "ALLOW" | "DENY";
  wouldDeny: number;
  wouldAllow: number;
  lastDenied: DryRunDenial | null;
}

/** Keeps count of what the policies in dry run would have done. */
export class DryRuns {
  #tallies = new Map<string, Tally>();

  /** Policies that stay in dry run keep their counts. */
  apply({ dryRun = { deny: [], allow: [] } }: AuthorizationSpec): void {
    const old = this.#tallies;
    this.#tallies = new Map();
    for (const action of ["DENY", "ALLOW"] as const) {
      for (const policy of action === "DENY" ? dryRun.deny : dryRun.allow) {
        const name = nameOf(policy);
        const { wouldDeny, wouldAllow, lastDenied } = old.get(name) ?? { wouldDeny: 0, wouldAllow: 0, lastDenied: null };
        this.#tallies.set(name, { policy, action, wouldDeny, wouldAllow, lastDenied });
      }
    }
  }

  count({ policy, verdict }: DryRunVerdict, facts: AuthorizationFacts, atMs: number): void {
    const tally = this.#tallies.get(nameOf(policy));
    if (tally === undefined) return;
    if (verdict.isAllowed) {
      tally.wouldAllow++;
      return;
    }
    tally.wouldDeny++;
    const { connection, request } = facts;
    tally.lastDenied = {
      atMs,
      peer: connection.tls?.peer?.spiffeId ?? null,
      port: connection.local.port,
      request: request === null ? null : `${request.method} ${request.authority} ${facts.path ?? ""}`.slice(0, MAX_TEXT),
    };
  }

  reports(): DryRunReport[] {
    return [...this.#tallies].map(([policy, { policy: { provenance }, action, wouldDeny, wouldAllow, lastDenied }]) =>
      ({ policy, action, file: provenance.file, line: provenance.line, wouldDeny, wouldAllow, lastDenied }));
  }
}

/** `namespace/name`. */
export function nameOf({ namespace, name }: PolicySpec): string {
  return `${namespace}/${name}`;
}
