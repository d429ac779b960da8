import { compile } from "../config/compile/compile.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { AnyResource } from "../config/kinds/kind-specs.ts";
import { ofKind } from "../config/kinds/kind-specs.ts";
import { didYouMean } from "../config/kinds/suggestion.ts";
import { LINTS } from "../config/lint/finding.ts";
import { lint } from "../config/lint/lint.ts";
import { formatProblem } from "../config/problem.ts";
import type { Problem } from "../config/problem.ts";
import { FolderSource } from "../config/source/folder-source.ts";
import { ConfigurationStore } from "../config/store/configuration-store.ts";
import { rejectedPolicies } from "../config/store/rejected-policies.ts";
import { systemClock } from "../core/clock.ts";
import { TimerWheel } from "../core/timer-wheel.ts";
import { describeFlags, readFlags, UsageError } from "./command-flags.ts";
import type { Flag, FlagValues } from "./command-flags.ts";
import { PipeOutput } from "./pipe-output.ts";
import { requirePath } from "./readable-path.ts";

const FLAGS: readonly Flag[] = [
  { name: "output", short: "o", kind: "text", environment: null, fallback: "text", value: "FORMAT", help: "text, a line per problem; or json, a list of them" },
  { name: "strict", kind: "switch", environment: null, fallback: "", value: "", help: "exit code 1 for warnings as well" },
  { name: "disable", kind: "list", environment: null, fallback: "", value: "NAME", help: "a lint not to apply, by the name in brackets behind its problems; repeatable" },
];
const HELP = `Usage: outrider check PATH... [options]

Lints configuration: folders and files as \`outrider proxy --config\` reads them. Prints a line per problem,
file:line:col: error|warning: Kind ns/name: field.path: message [lint]
and, on stderr, how many there are. Exit code 0: no error. 1: errors. 2: it could not run.

`;
/** A configuration is compiled as each of its workloads sees it; more of them rarely find more. */
const MAX_WORKLOADS = 64;

/**
 * `outrider check PATH...`: resolves to the exit code. `write` takes what goes to stdout, `tell` what goes to stderr.
 */
export async function check(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  write: (text: string) => void = writeOut,
  tell: (text: string) => void = writeError,
): Promise<number> {
  try {
    const flags = readFlags(FLAGS, args, environment, true);
    if (flags === null) {
      write(HELP + describeFlags(FLAGS));
      return 0;
    }
    const format = flags.text("output");
    if (format !== "text" && format !== "json") throw new UsageError(`--output: ${JSON.stringify(format)} is neither text nor json`);
    if (flags.positionals.length === 0) throw new UsageError("names no folder or file to check");
    const disabled = disabledLints(flags);
    for (const path of flags.positionals) requirePath(path, "");
    const problems = checkPaths(flags.positionals).map(withName).filter((problem) => problem.lint === undefined || !disabled.has(problem.lint));
    write(format === "json" ? `${JSON.stringify(problems, null, 2)}\n` : problems.map(lineOf).join(""));
    if (format === "text") tell(`outrider check: ${countOf(problems)}\n`);
    return problems.some((problem) => problem.severity === "error" || flags.isOn("strict")) ? 1 : 0;
  } catch (error) {
    tell(`outrider check: ${(error as Error).message}\n`);
    return 2;
  }
}

function writeOut(text: string): void {
  new PipeOutput(process.stdout).write(text);
}

function writeError(text: string): void {
  process.stderr.write(text);
}

/** @throws UsageError for a name that no lint has: a misspelt one would switch nothing off. */
function disabledLints(flags: FlagValues): ReadonlySet<string> {
  const names = flags.list("disable");
  for (const name of names) {
    if (!(LINTS as readonly string[]).includes(name)) throw new UsageError(`--disable: no lint is called ${JSON.stringify(name)}${didYouMean(name, LINTS)}`);
  }
  return new Set(names);
}

/** What the compiler says of an object that another one comes before has no name of its own. */
function withName(problem: Problem): Problem {
  return problem.shadowedBy === undefined ? problem : { ...problem, lint: "shadowed-object" };
}

function lineOf(problem: Problem): string {
  return `${formatProblem(problem)}${problem.lint === undefined ? "" : ` [${problem.lint}]`}\n`;
}

/** `1 error, 2 warnings`. */
function countOf(problems: readonly Problem[]): string {
  const count = (severity: Problem["severity"]): string => {
    const { length } = problems.filter((problem) => problem.severity === severity);
    return `${length} ${severity}${length === 1 ? "" : "s"}`;
  };
  return `${count("error")}, ${count("warning")}`;
}

/** Every problem of the configuration below the paths, by file and line, each once. */
export function checkPaths(paths: readonly string[]): Problem[] {
  const source = new FolderSource({ paths, clock: systemClock, timers: new TimerWheel(systemClock) });
  const update = new ConfigurationStore().update(source.read());
  const found = new Map(update.problems.map((problem) => [formatProblem(problem), problem]));
  for (const workload of workloadsOf(update.resources)) {
    const { problems } = compile({ resources: update.resources, workload, rejectedPolicies: rejectedPolicies(update, workload.namespace), version: 1 });
    for (const problem of problems) found.set(formatProblem(problem), problem);
  }
  for (const problem of lint(update.resources)) found.set(formatProblem(problem), problem);
  const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return withoutRepeated([...found.values()]).sort((a, b) => compareText(a.file, b.file) || a.line - b.line || a.col - b.col);
}

/** That a field is not obeyed is not said again beside the compiler's error of it, which knows what becomes of the workload. */
function withoutRepeated(problems: readonly Problem[]): Problem[] {
  const placeOf = ({ file, line, col, resource, field }: Problem): string => [file, line, col, resource, field].join("\n");
  const inError = new Set(problems.filter(({ severity, field }) => severity === "error" && field !== null).map(placeOf));
  return problems.filter((problem) => problem.severity === "error" || !problem.message.startsWith("unsupported: ") || !inError.has(placeOf(problem)));
}

/** Those whose view the configuration describes: its Pods, and one without labels in every namespace it names. */
function workloadsOf(resources: readonly AnyResource[]): WorkloadIdentity[] {
  const pods = ofKind(resources, "Pod").map((pod): WorkloadIdentity => ({
    podName: pod.metadata.name,
    namespace: pod.metadata.namespace,
    serviceAccount: pod.spec.spec.serviceAccountName,
    addresses: [pod.spec.status.podIP, ...pod.spec.status.podIPs.map(({ ip }) => ip)].filter((ip): ip is string => ip !== undefined),
    labels: pod.metadata.labels,
    trustDomain: null,
  }));
  const namespaces = [...new Set(resources.map((resource) => resource.metadata.namespace))];
  // It stands for workloads that know their node, whichever that is.
  const anyone = namespaces.map((namespace): WorkloadIdentity => ({ podName: "any", namespace, serviceAccount: "default", addresses: [], labels: {}, trustDomain: null, nodeName: "any" }));
  return [...anyone, ...withoutReplicas(pods)].slice(0, MAX_WORKLOADS);
}

/** Labels that tell the replicas of a workload from each other, or its generations. */
const REPLICA_LABELS: ReadonlySet<string> = new Set([
  "pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
]);

/** One pod of each workload: rules choose by namespace and labels, and replicas have the same. */
function withoutReplicas(pods: readonly WorkloadIdentity[]): WorkloadIdentity[] {
  const first = new Map<string, WorkloadIdentity>();
  for (const pod of pods) {
    const labels = Object.entries(pod.labels).filter(([key]) => !REPLICA_LABELS.has(key)).map((entry) => entry.join("=")).toSorted();
    const key = [pod.namespace, pod.serviceAccount, ...labels].join("\n");
    if (!first.has(key)) first.set(key, pod);
  }
  return [...first.values()];
}
