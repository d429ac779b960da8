import { canonicalRule } from "./canonical-rule.ts";
import { ownChains, type Rule, type Table, tables } from "./rule.ts";

/** A rule as `iptables-save` prints it. */
export interface SavedRule {
  readonly chain: string;
  /** Place within its chain, from 1. */
  readonly position: number;
  /** Everything after the chain's name, as printed. */
  readonly text: string;
}

/** One table as it stands. */
export interface TableState {
  readonly table: Table;
  readonly chains: readonly string[];
  readonly rules: readonly SavedRule[];
}

/** What one address family holds in the tables we may write to. */
export type FamilyState = readonly TableState[];

/** Reads the output of `iptables-save` or `ip6tables-save`; tables that do not concern us are left out. */
export function parseSaved(text: string): FamilyState {
  const states: TableState[] = [];
  let chains: string[] = [];
  let rules: SavedRule[] = [];
  let counts = new Map<string, number>();
  for (const line of text.split("\n")) {
    if (line.startsWith("*")) {
      const table = tables.find((candidate) => candidate === line.slice(1).trim());
      chains = [];
      rules = [];
      counts = new Map();
      if (table !== undefined) states.push({ table, chains, rules });
    } else if (line.startsWith(":")) {
      chains.push(line.slice(1).split(" ", 1)[0] ?? "");
    } else if (line.startsWith("-A ")) {
      const [, chain = "", rest = ""] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
      const position = (counts.get(chain) ?? 0) + 1;
      counts.set(chain, position);
      rules.push({ chain, position, text: rest });
    }
  }
  return states;
}

/** How a family looks that holds exactly these rules. */
export function installedState(rules: readonly Rule[]): FamilyState {
  return tables.map((table) => {
    const inTable = rules.filter((rule) => rule.table === table);
    return {
      table,
      chains: [...new Set(inTable.map((rule) => rule.chain))],
      rules: inTable.map((rule, at) => ({ chain: rule.chain, position: at + 1, text: rule.words.join(" ") })),
    };
  });
}

/** What is ours in one table. */
export interface OwnState {
  /** Our chains that exist. */
  readonly chains: readonly string[];
  /** Rules inside them. */
  readonly inside: readonly SavedRule[];
  /** Rules of ours in the kernel's own chains. */
  readonly builtIn: readonly SavedRule[];
}

/**
 * Finds what is ours: our chains, whatever leads into them, and rules in the kernel's own chains that equal one of
 * `planned` (those for excluded interfaces lead into no chain of ours, and only the plan can recognise them).
 */
export function ownRulesByTable(state: FamilyState, planned: readonly Rule[], table: Table): OwnState {
  const found = state.find((candidate) => candidate.table === table);
  if (found === undefined) return { chains: [], inside: [], builtIn: [] };
  const plannedRules = new Set(
    planned.filter((rule) => rule.table === table).map((rule) => canonicalRule(rule.chain, rule.words)),
  );
  return {
    chains: found.chains.filter((chain) => ownChains.has(chain)),
    inside: found.rules.filter((rule) => ownChains.has(rule.chain)),
    builtIn: found.rules.filter((rule) => {
      if (ownChains.has(rule.chain)) return false;
      const words = rule.text.split(" ");
      const target = words[words.findIndex((word) => word === "-j" || word === "-g") + 1] ?? "";
      return ownChains.has(target) || plannedRules.has(canonicalRule(rule.chain, words));
    }),
  };
}

/** Whether anything of ours is installed. */
export function hasResidue(state: FamilyState, planned: readonly Rule[]): boolean {
  return tables.some((table) => {
    const own = ownRulesByTable(state, planned, table);
    return own.chains.length > 0 || own.builtIn.length > 0;
  });
}

/** Whether exactly the planned rules are installed, in the planned order, and nothing else of ours. */
export function isInstalled(state: FamilyState, planned: readonly Rule[]): boolean {
  return tables.every((table) => {
    const own = ownRulesByTable(state, planned, table);
    const wanted = byChain(planned.filter((rule) => rule.table === table));
    const wantedChains = [...wanted.keys()].filter((chain) => ownChains.has(chain));
    if (own.chains.length !== wantedChains.length) return false;
    const actual = new Map<string, string[]>();
    for (const rule of [...own.inside, ...own.builtIn]) {
      const rules = actual.get(rule.chain) ?? [];
      rules.push(canonicalRule(rule.chain, rule.text.split(" ")));
      actual.set(rule.chain, rules);
    }
    return (
      actual.size === wanted.size &&
      [...wanted].every(([chain, rules]) => rules.join("\n") === (actual.get(chain) ?? []).join("\n"))
    );
  });
}

/** The planned rules of each chain in the order they end up in, insertions done. */
function byChain(rules: readonly Rule[]): Map<string, string[]> {
  const chains = new Map<string, string[]>();
  for (const rule of rules) {
    const placed = chains.get(rule.chain) ?? [];
    const at = rule.position === null ? placed.length : rule.position - 1;
    placed.splice(at, 0, canonicalRule(rule.chain, rule.words));
    chains.set(rule.chain, placed);
  }
  return chains;
}
