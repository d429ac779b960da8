import type { AuthorizationSpec } from "../config/snapshot-security.ts";
import type { AuthorizationNote } from "../message/authorization-note.ts";
import type { ConnectionFacts } from "../message/connection-facts.ts";
import { Authorizer } from "./rbac.ts";
import { AuthorizationFacts } from "./rbac-facts.ts";
import type { AuthorizationJournal } from "./rbac-journal.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

const NONE: AuthorizationSpec = { deny: [], allow: [] };

/** The AuthorizationPolicies of the workload as live traffic meets them: those in force, and what is told of their verdicts. */
export class WorkloadPolicies {
  readonly journal: AuthorizationJournal;
  #spec = NONE;
  #authorizer = new Authorizer(NONE);

  constructor(journal: AuthorizationJournal) {
    this.journal = journal;
  }

  /** Of the snapshot in force. */
  get authorizer(): Authorizer {
    return this.#authorizer;
  }

  /** Obeys `spec` from now on. False when it is in force already: the same object means the same policies, see `shareUnchanged`. */
  apply(spec: AuthorizationSpec): boolean {
    if (spec === this.#spec) return false;
    this.journal.apply(spec, this.#authorizer);
    this.#authorizer = new Authorizer(spec);
    this.#spec = spec;
    return true;
  }

  /**
   * Notes what was decided about an opaque connection, once for each decision; null when there is nothing to say of it.
   * `said`: what an external authorizer said that refused it.
   */
  note(connection: ConnectionFacts, verdict: AuthorizationVerdict, said: string | null = null): AuthorizationNote | null {
    return this.#authorizer.isOpen ? null : this.journal.decided(this.#authorizer, new AuthorizationFacts(connection, null), verdict, said);
  }
}
