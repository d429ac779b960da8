import type { Peer } from "./peers.ts";
import { countOf, type SuiteReport } from "./suite-report.ts";

/** What the table says beside the runs. */
export interface TableFacts {
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly outriderVersion: string;
  readonly nodeVersion: string;
  readonly peers: readonly Peer[];
}

/** The runs as the page `docs/conformance.md`. */
export function conformanceTable(reports: readonly SuiteReport[], facts: TableFacts): string {
  return `# Conformance

<!-- written by npm run conformance; edit test/conformance/conformance-table.ts instead -->

Suites of other projects, run against Outrider ${facts.outriderVersion} on Node ${facts.nodeVersion}, ${facts.date}.

| suite | version | against | passed | failed | skipped | excluded |
| --- | --- | --- | --- | --- | --- | --- |
${reports.map(row).join("\n")}

${reports.map(exceptions).filter((text) => text !== "").join("\n\n")}

## How to run them

\`npm run conformance\` runs all suites and writes this page; it exits with 1 when a case failed, and with 2 when a program is missing.
\`npm test\` runs them too, where the programs are there, and says so where they are not. They are looked for on \`PATH\` under the name in the
table, or where the variable says.

| program | built by | name on \`PATH\` | variable |
| --- | --- | --- | --- |
${facts.peers.map(peerRow).join("\n")}

\`go install\` names a program after the last part of its path: the interop programs, \`client\` and \`server\`, want to be renamed or named by
their variables.
${facts.peers.map(otherVersion).join("")}`;
}

function row(report: SuiteReport): string {
  const counts = (["passed", "failed", "skipped", "excluded"] as const).map((outcome) => countOf(report, outcome));
  return `| ${report.suite} | ${report.version} | ${report.against} | ${counts.join(" | ")} |`;
}

/** The cases of one run that did not pass, by name and with the reason. */
function exceptions({ suite, against, results }: SuiteReport): string {
  const lines = results.filter(({ outcome }) => outcome !== "passed").map(({ id, outcome, detail }) => `- ${outcome}: \`${id}\`${detail === "" ? "" : `: ${detail}`}`);
  return lines.length === 0 ? "" : `**${suite}**, ${against}:\n\n${lines.join("\n")}`;
}

/** A word on a peer that is not of the revision asked for. */
function otherVersion({ name, version, wanted }: Peer): string {
  if (wanted === undefined || version.includes(wanted)) return "";
  return `\n${name} is meant to be of revision \`${wanted}\`. That could not be installed as a Go module where this page was made, so it tells of ${version}.\n`;
}

function peerRow({ name, source, program, variable, version }: Peer): string {
  return `| ${name} | \`go install ${source}@${version}\` | \`${program}\` | \`${variable}\` |`;
}
