import { ownRulesByTable, type FamilyState } from "./family-state.ts";
import { ownChains, type Rule, type Table, tables } from "./rule.ts";

/** What a document should lead to, beside its rules. */
export interface RestoreOptions {
  /** Rules to take for ours when found installed; by default those to be installed. */
  readonly recognise?: readonly Rule[];
  /** Chains of ours to have even though no rule is in them. */
  readonly emptyChains?: ReadonlyMap<Table, readonly string[]>;
}

/**
 * The text of one `iptables-restore --noflush` run that brings a family from `current` to `rules`. Every table
 * commits in one piece, so that there is no moment without capture, and nothing of anyone else is touched. With
 * nothing of ours installed the text is exactly the rules (spec/01-capture 1.1). Empty when there is nothing to do.
 */
export function restoreDocument(
  current: FamilyState,
  rules: readonly Rule[],
  { recognise = rules, emptyChains = new Map() }: RestoreOptions = {},
): string {
  const lines: string[] = [];
  for (const table of tables) {
    const wanted = rules.filter((rule) => rule.table === table);
    const state = ownRulesByTable(current, recognise, table);
    const ours = wanted.map((rule) => rule.chain).filter((chain) => ownChains.has(chain));
    const wantedChains = [...new Set([...ours, ...(emptyChains.get(table) ?? [])])];
    const body = [
      // A rule in a built-in chain goes by its text; then nothing leads into our chains and they can be emptied.
      ...state.builtIn.map((rule) => `-D ${rule.chain} ${rule.text}`),
      ...state.chains.map((chain) => `-F ${chain}`),
      ...state.chains.filter((chain) => !wantedChains.includes(chain)).map((chain) => `-X ${chain}`),
      ...wantedChains.filter((chain) => !state.chains.includes(chain)).map((chain) => `-N ${chain}`),
      ...wanted.map(line),
    ];
    if (body.length > 0) lines.push(`* ${table}`, ...body, "COMMIT");
  }
  return lines.map((text) => `${text}\n`).join("");
}

function line(rule: Rule): string {
  const words = rule.words.join(" ");
  return rule.position === null ? `-A ${rule.chain} ${words}` : `-I ${rule.chain} ${rule.position} ${words}`;
}
