import { CaptureError } from "./capture-error.ts";
import type { RunCommand } from "./command.ts";
import { type FamilyState, hasResidue, installedState, isInstalled, ownRulesByTable } from "./family-state.ts";
import { type Backend, openPacketFilter, type PacketFilter, refusal } from "./packet-filter.ts";
import type { CapturePlan } from "./plan.ts";
import { restoreDocument } from "./restore-document.ts";
import { type Rule, ownChains, tables } from "./rule.ts";

/** How to reach the packet filter. */
export interface ApplyOptions {
  readonly run: RunCommand;
  readonly backend: Backend;
  /** Write the rules even when exactly they are installed. */
  readonly force: boolean;
}

/** What was done to one family. */
export interface FamilyOutcome {
  readonly family: "IPv4" | "IPv6";
  /** `current`: the rules were there already. */
  readonly change: "installed" | "replaced" | "removed" | "current";
  readonly ruleCount: number;
}

/** The passage from one family's present state to its rules. */
interface Step {
  readonly filter: PacketFilter;
  readonly before: FamilyState;
  readonly rules: readonly Rule[];
  readonly document: string;
  readonly outcome: FamilyOutcome;
}

/**
 * The documents as they would be applied to a pod that has none of our rules, each under the program it is for.
 * Changes nothing and needs no privileges.
 */
export function printPlan(plan: CapturePlan): string {
  const v4 = `# iptables-restore --noflush\n${restoreDocument([], plan.v4)}`;
  return plan.v6 === null ? v4 : `${v4}# ip6tables-restore --noflush\n${restoreDocument([], plan.v6)}`;
}

/** The documents that would remove exactly these rules; like `printPlan`, without looking at this host. */
export function printRemoval(plan: CapturePlan): string {
  const v4 = `# iptables-restore --noflush\n${removalDocument(installedState(plan.v4), plan.v4)}`;
  if (plan.v6 === null) return v4;
  return `${v4}# ip6tables-restore --noflush\n${removalDocument(installedState(plan.v6), plan.v6)}`;
}

/**
 * Installs the rules of both families. Every step is prepared before the first is taken; when one fails, the steps
 * before it are taken back, so that a pod is never left with one family captured and the other open. Rules that are
 * there already are left alone, others of ours are replaced without a moment of no capture (spec/01-capture 1.10).
 * Throws `CaptureError`.
 */
export function applyPlan(plan: CapturePlan, options: ApplyOptions): readonly FamilyOutcome[] {
  const steps = [prepare(openPacketFilter("IPv4", options.backend, options.run), plan.v4, options.force)];
  if (plan.v6 === null) {
    steps.push(...leftOver("IPv6", options));
  } else {
    steps.push(prepare(openPacketFilter("IPv6", options.backend, options.run), plan.v6, options.force));
  }
  const addedAddress = plan.v6 !== null && addPassThroughAddress(options.run);
  const taken: Step[] = [];
  try {
    for (const step of steps) {
      taken.push(step);
      step.filter.write(step.document);
    }
  } catch (error) {
    if (!(error instanceof CaptureError)) throw error;
    const failures = taken.toReversed().map(undo);
    if (addedAddress) removePassThroughAddress(options.run);
    const notUndone = failures.filter((failure) => failure !== null);
    throw new CaptureError([error.message, ...notUndone].join("; "));
  }
  return steps.map((step) => step.outcome);
}

/**
 * Removes the rules of both families and the address that goes with them. A family whose programs are missing holds
 * nothing of ours. Rules in the kernel's own chains that lead into none of ours (excluded interfaces) are found by
 * the plan, so it should be the one they were installed with. Throws `CaptureError` when IPv4 cannot be written.
 */
export function removeCapture(plan: CapturePlan, options: ApplyOptions): readonly FamilyOutcome[] {
  const v4 = openPacketFilter("IPv4", options.backend, options.run);
  const before = v4.read();
  v4.write(removalDocument(before, plan.v4));
  const outcomes: FamilyOutcome[] = [removal("IPv4", before, plan.v4)];
  for (const step of leftOver("IPv6", options, plan.v6 ?? [])) {
    step.filter.write(step.document);
    outcomes.push(step.outcome);
  }
  removePassThroughAddress(options.run);
  return outcomes;
}

function prepare(filter: PacketFilter, rules: readonly Rule[], force: boolean): Step {
  const before = filter.read();
  const { family } = filter;
  if (!force && isInstalled(before, rules)) {
    return { filter, before, rules, document: "", outcome: { family, change: "current", ruleCount: rules.length } };
  }
  const change = hasResidue(before, rules) ? "replaced" : "installed";
  const document = restoreDocument(before, rules);
  return { filter, before, rules, document, outcome: { family, change, ruleCount: rules.length } };
}

/** The step that clears a family which is not, or no longer, captured; none when nothing of ours is there. */
function leftOver(family: "IPv4" | "IPv6", options: ApplyOptions, planned: readonly Rule[] = []): Step[] {
  let filter: PacketFilter;
  try {
    filter = openPacketFilter(family, options.backend, options.run);
  } catch (error) {
    // A host without IPv6 has no ip6tables, and then nothing to clear either.
    if (error instanceof CaptureError) return [];
    throw error;
  }
  const before = filter.read();
  if (!hasResidue(before, planned)) return [];
  const outcome = removal(family, before, planned);
  return [{ filter, before, rules: planned, document: removalDocument(before, planned), outcome }];
}

function removal(family: "IPv4" | "IPv6", before: FamilyState, planned: readonly Rule[]): FamilyOutcome {
  const owned = tables.map((table) => ownRulesByTable(before, planned, table));
  const ruleCount = owned.reduce((sum, own) => sum + own.inside.length + own.builtIn.length, 0);
  return { family, change: "removed", ruleCount };
}

function removalDocument(state: FamilyState, planned: readonly Rule[]): string {
  return restoreDocument(state, [], { recognise: planned });
}

/** Puts a family back to how it was before the step. Null when that worked, else what went wrong. */
function undo(step: Step): string | null {
  try {
    const now = step.filter.read();
    step.filter.write(undoDocument(now, step.before, step.rules));
    return null;
  } catch (error) {
    return `${step.filter.family} could not be put back: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** From `now` back to `before`: our rules as they were saved, those in the kernel's own chains at their old places. */
function undoDocument(now: FamilyState, before: FamilyState, planned: readonly Rule[]): string {
  const saved = tables.flatMap((table): Rule[] => {
    const own = ownRulesByTable(before, planned, table);
    return [...own.inside, ...own.builtIn].map((rule) => ({
      table,
      chain: rule.chain,
      position: ownChains.has(rule.chain) ? null : rule.position,
      words: [rule.text],
    }));
  });
  const emptyChains = new Map(tables.map((table) => [table, ownRulesByTable(before, planned, table).chains]));
  return restoreDocument(now, saved, { recognise: planned, emptyChains });
}

/**
 * IPv6 binds only addresses that are configured, so the pass-through source gets configured on lo; IPv4 has the
 * whole of 127.0.0.0/8 there already (spec/01-capture 1.6). True when it was not there before.
 */
function addPassThroughAddress(run: RunCommand): boolean {
  const done = run("ip", ["-6", "addr", "add", "::6/128", "dev", "lo"]);
  if (done.isSuccess) return true;
  if (/file exists|already assigned/i.test(done.complaint)) return false;
  throw refusal("ip", done);
}

/** Takes the address away; one that is not there is as good. */
function removePassThroughAddress(run: RunCommand): void {
  run("ip", ["-6", "addr", "del", "::6/128", "dev", "lo"]);
}
