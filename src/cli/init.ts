import { isIPv6 } from "node:net";
import { parseArgs } from "node:util";

import { applyPlan, type ApplyOptions, type FamilyOutcome, printPlan, printRemoval, removeCapture } from "../../init/apply.ts";
import { CaptureError } from "../../init/capture-error.ts";
import { type CaptureFlag, captureFlags, type CaptureFlagValues } from "../../init/capture-flags.ts";
import { hostCommands } from "../../init/command.ts";
import { readHostFacts } from "../../init/host-facts.ts";
import { OptionError } from "../../init/option-error.ts";
import type { Backend } from "../../init/packet-filter.ts";
import { isOn, parseCaptureOptions } from "../../init/parse-capture-options.ts";
import { plan } from "../../init/plan.ts";

const flags: readonly CaptureFlag[] = captureFlags;

const usage = `Usage: outrider init [options]

Installs the iptables rules that bring a pod's TCP traffic to the proxy. Run it in the pod's network namespace with
NET_ADMIN. Running it again is safe; lists are comma-separated.

`;

/**
 * `outrider init`: installs, prints or removes the capture rules of this network namespace. Resolves to the exit
 * code: 0 done, 1 the packet filter refused (nothing is then half-applied), 2 an option that cannot be obeyed. Each
 * failure is one line on standard error.
 */
export async function init(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const given = readArguments(args);
    if (given === "help") {
      process.stdout.write(help());
      return 0;
    }
    return run(withDefaults(given, environment), environment);
  } catch (error) {
    if (error instanceof OptionError) return complain(error.message, 2);
    if (error instanceof CaptureError) return complain(error.message, 1);
    throw error;
  }
}

function run(values: CaptureFlagValues, environment: NodeJS.ProcessEnv): number {
  const host = readHostFacts();
  const options = parseCaptureOptions(values, host);
  const capture = plan(options);
  const applyOptions: ApplyOptions = {
    run: hostCommands(environment["PATH"] ?? ""),
    backend: backend(values["force-iptables-binary"]),
    force: isOn(values, "force-apply"),
  };
  const isDryRun = isOn(values, "dry-run");
  if (isOn(values, "cleanup") || isOn(values, "cleanup-only")) {
    if (isDryRun) process.stdout.write(printRemoval(capture));
    else report(removeCapture(capture, applyOptions));
    return 0;
  }
  for (const warning of capture.warnings) warn(warning);
  if (!options.ipv6 && host.addresses.some((address) => isIPv6(address))) {
    warn("IPv6 is not captured though this pod has an IPv6 address: that traffic bypasses the proxy; see --dual-stack");
  }
  if (isDryRun) process.stdout.write(printPlan(capture));
  else report(applyPlan(capture, applyOptions));
  return 0;
}

/** The flags that were given, by long name; `help` when help was asked for. Throws `OptionError`. */
function readArguments(args: readonly string[]): ReadonlyMap<string, string> | "help" {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = { help: { type: "boolean", short: "h" } };
  for (const flag of flags) {
    options[flag.name] = {
      type: flag.kind === "text" ? "string" : "boolean",
      ...(flag.short === undefined ? {} : { short: flag.short }),
    };
  }
  const given = new Map<string, string>();
  const plain: string[] = [];
  for (const arg of args) {
    // Istio's templates write switches as --name=true, which parseArgs does not take.
    const [, name = "", value = ""] = /^--([a-z0-9-]+)=(.*)$/s.exec(arg) ?? [];
    if (flags.some((flag) => flag.name === name && flag.kind === "switch")) given.set(name, value);
    else plain.push(arg);
  }
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({ args: plain, options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw new OptionError(`${reason.replace(/\.$/, "")}; --help lists the options`);
  }
  if (values["help"] === true) return "help";
  for (const [name, value] of Object.entries(values)) given.set(name, String(value));
  return given;
}

/** A flag counts before its environment variable, and that before the default; an empty variable is not set. */
function withDefaults(given: ReadonlyMap<string, string>, environment: NodeJS.ProcessEnv): CaptureFlagValues {
  const values = flags.map((flag) => {
    const fromEnvironment = flag.environment === null ? undefined : environment[flag.environment];
    const inherited = fromEnvironment === undefined || fromEnvironment === "" ? flag.fallback : fromEnvironment;
    return [flag.name, given.get(flag.name) ?? inherited] as const;
  });
  return Object.fromEntries(values) as CaptureFlagValues;
}

function backend(text: string): Backend {
  if (text === "") return "default";
  if (text === "nft" || text === "legacy") return text;
  throw new OptionError(`--force-iptables-binary: ${JSON.stringify(text)} is neither legacy nor nft`);
}

function report(outcomes: readonly FamilyOutcome[]): void {
  for (const { family, change, ruleCount } of outcomes) {
    const what = change === "current" ? "already installed, nothing to do" : change;
    process.stdout.write(`${family}: ${ruleCount} rules ${what}\n`);
  }
}

function warn(text: string): void {
  process.stderr.write(`outrider init: warning: ${text}\n`);
}

function complain(text: string, exitCode: number): number {
  process.stderr.write(`outrider init: ${text}\n`);
  return exitCode;
}

function help(): string {
  const rows = flags.map((flag) => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    const value = flag.kind === "text" ? " VALUE" : "";
    const fallback = flag.fallbackText ?? (flag.fallback === "" ? "none" : flag.fallback);
    const source = flag.environment === null ? "" : `${flag.environment}; `;
    return `  ${short}--${flag.name}${value}\n        ${flag.help} [${source}default: ${fallback}]\n`;
  });
  return `${usage}${rows.join("")}  -h, --help\n        this text\n`;
}
