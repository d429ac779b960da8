import { parseArgs } from "node:util";

/** One flag of a command. The flag counts before its environment variable, and that before the default. */
export interface Flag {
  readonly name: string;
  readonly short?: string;
  /** `text` takes a value, `list` may be given several times, `switch` takes none. */
  readonly kind: "text" | "list" | "switch";
  readonly environment: string | null;
  /** What it is when nothing says otherwise; for `list` one entry, for `switch` empty. */
  readonly fallback: string;
  /** For the help: the value's name, and what the flag does. */
  readonly value: string;
  readonly help: string;
}

/** How a switch is written in the environment: Istio's `strconv.ParseBool`, in any case. */
const TRUE = /^(?:true|t|1)$/i;
const FALSE = /^(?:false|f|0)$/i;

/** A command line that cannot be obeyed; the message names the flag. */
export class UsageError extends Error {}

/** Values by flag name. A switch is `"true"` or `"false"`; a `list` has its entries. */
export interface FlagValues {
  text(name: string): string;
  list(name: string): readonly string[];
  /** Whether a switch is on. @throws UsageError for an environment variable that is neither true nor false */
  isOn(name: string): boolean;
  /** Whether the command line itself has it. */
  isGiven(name: string): boolean;
  /** A whole number in [least, most]. @throws UsageError */
  number(name: string, least: number, most: number): number;
  readonly positionals: readonly string[];
}

/** Reads a command's arguments; null when help was asked for. @throws UsageError */
export function readFlags(flags: readonly Flag[], args: readonly string[], environment: NodeJS.ProcessEnv, takesPositionals = false): FlagValues | null {
  const options: Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }> = { help: { type: "boolean", short: "h" } };
  for (const flag of flags) {
    options[flag.name] = {
      type: flag.kind === "switch" ? "boolean" : "string",
      multiple: flag.kind === "list",
      ...(flag.short === undefined ? {} : { short: flag.short }),
    };
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals: takesPositionals });
  } catch (error) {
    const [reason = ""] = (error as Error).message.split(/\. |\n/);
    throw new UsageError(`${reason.replace(/\.$/, "")}; --help lists the options`);
  }
  if (parsed.values["help"] === true) return null;
  return new Values(flags, parsed.values, parsed.positionals, environment);
}

class Values implements FlagValues {
  readonly positionals: readonly string[];
  readonly #flags: ReadonlyMap<string, Flag>;
  readonly #given: Record<string, unknown>;
  readonly #environment: NodeJS.ProcessEnv;

  constructor(flags: readonly Flag[], given: Record<string, unknown>, positionals: readonly string[], environment: NodeJS.ProcessEnv) {
    this.#flags = new Map(flags.map((flag) => [flag.name, flag]));
    this.#given = given;
    this.#environment = environment;
    this.positionals = positionals;
  }

  text(name: string): string {
    const given = this.#given[name];
    return typeof given === "string" ? given : this.#inherited(name);
  }

  list(name: string): readonly string[] {
    const given = this.#given[name];
    if (Array.isArray(given)) return given.map(String);
    return this.#inherited(name).split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
  }

  isOn(name: string): boolean {
    if (this.#given[name] === true) return true;
    const inherited = this.#inherited(name);
    if (TRUE.test(inherited)) return true;
    if (inherited === "" || FALSE.test(inherited)) return false;
    throw new UsageError(`${this.#flags.get(name)?.environment}: ${JSON.stringify(inherited)} is neither true nor false`);
  }

  isGiven(name: string): boolean {
    return this.#given[name] !== undefined;
  }

  number(name: string, least: number, most: number): number {
    const text = this.text(name);
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new UsageError(`--${name}: ${JSON.stringify(text)} is not a whole number from ${least} to ${most}`);
    return value;
  }

  #inherited(name: string): string {
    const flag = this.#flags.get(name);
    if (flag === undefined) throw new Error(`no flag is called ${name}`);
    const inherited = flag.environment === null ? undefined : this.#environment[flag.environment];
    return inherited === undefined || inherited === "" ? flag.fallback : inherited;
  }
}

/** The options part of a command's help: each flag with its environment variable and default. */
export function describeFlags(flags: readonly Flag[]): string {
  const rows = flags.map((flag) => {
    const short = flag.short === undefined ? "    " : `-${flag.short}, `;
    const value = flag.kind === "switch" ? "" : ` ${flag.value}`;
    const source = flag.environment === null ? "" : `${flag.environment}; `;
    return `  ${short}--${flag.name}${value}\n        ${flag.help} [${source}default: ${flag.fallback || (flag.kind === "switch" ? "false" : "none")}]\n`;
  });
  return `${rows.join("")}  -h, --help\n        this text\n`;
}
