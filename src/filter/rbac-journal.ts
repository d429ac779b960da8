import type { AuthorizationSpec } from "../config/snapshot-security.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import { AuthorizationNote } from "../message/authorization-note.ts";
import type { AuthorizationSeries } from "../telemetry/authorization-series.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Authorizer } from "./rbac.ts";
import { type DenialRecord, DenialRecords } from "./rbac-denials.ts";
import { type DryRunReport, DryRuns, nameOf } from "./rbac-dry-runs.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import type { AuthorizationVerdict } from "./rbac-verdict.ts";

export interface JournalParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly series: AuthorizationSeries;
  readonly log: Logger;
}

/** What a data thread tells of its decisions: metrics, the note for the access log, records of denials, the report of dry runs. */
export class AuthorizationJournal {
  readonly #parts: JournalParts;
  readonly #denials: DenialRecords;
  readonly #dryRuns = new DryRuns();

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.#denials = new DenialRecords(parts.random);
  }

  /** Policies changed; `replaced` are those that decided until now. */
  apply(spec: AuthorizationSpec, replaced: Authorizer): void {
    this.#denials.forgetBefore(replaced);
    this.#dryRuns.apply(spec);
  }

  /**
   * Notes a decision about a request or an opaque connection; once for each. Null when there is nothing to say of it but
   * that it passed. `said`: what an external authorizer said, which was asked because of the verdict; null where none was.
   */
  decided(authorizer: Authorizer, facts: AuthorizationFacts, verdict: AuthorizationVerdict, said: string | null = null): AuthorizationNote | null {
    if (facts.request !== null) this.#parts.series.decided(verdict.isAllowed);
    const note = authorizer.hasOnlookers ? this.#lookOn(authorizer, facts, verdict) : null;
    if (verdict.isAllowed) return note;
    const denied = note ?? new AuthorizationNote();
    denied.policy = verdict.policy === null ? null : nameOf(verdict.policy);
    denied.rule = verdict.ruleIndex;
    denied.recordId = this.#denials.add(this.#parts.clock.wallMs(), authorizer, facts, verdict, said);
    return denied;
  }

  /** Null for an id that is not, or no longer, known. */
  denial(id: string): DenialRecord | null {
    return this.#denials.find(id);
  }

  dryRuns(): DryRunReport[] {
    return this.#dryRuns.reports();
  }

  #lookOn(authorizer: Authorizer, facts: AuthorizationFacts, verdict: AuthorizationVerdict): AuthorizationNote | null {
    const { series, clock } = this.#parts;
    const audited = authorizer.audited(facts);
    const dryRun = authorizer.dryRun(facts, verdict);
    if (audited === null && dryRun === null) return null;
    const note = new AuthorizationNote();
    const auditing = audited?.policy ?? null;
    if (auditing !== null) {
      note.audit = nameOf(auditing);
      series.audited(note.audit);
    }
    if (dryRun !== null) {
      const policy = nameOf(dryRun.policy);
      series.dryRun(policy, dryRun.verdict.isAllowed);
      this.#dryRuns.count(dryRun, facts, clock.wallMs());
      if (!dryRun.verdict.isAllowed) {
        note.dryRun = policy;
        this.#logDryRun(policy, dryRun.verdict, facts);
      }
    }
    return note.audit === null && note.dryRun === null ? null : note;
  }

  #logDryRun(policy: string, verdict: AuthorizationVerdict, { connection, request, path }: AuthorizationFacts): void {
    this.#parts.log.limited("info", "dry run of an AuthorizationPolicy would deny", {
      policy, verdict: verdict.id, peer: connection.tls?.peer?.spiffeId ?? null, remote: connection.remote.address, port: connection.local.port,
      method: request?.method, authority: request?.authority, path: path ?? undefined,
    });
  }
}
