import { CaptureError } from "./capture-error.ts";
import type { CommandResult, RunCommand } from "./command.ts";
import { type FamilyState, parseSaved } from "./family-state.ts";

/** Which iptables: the distribution's choice, or one named by the operator. */
export type Backend = "default" | "nft" | "legacy";

/** The packet filter of one address family, read and written as a whole. */
export class PacketFilter {
  readonly family: "IPv4" | "IPv6";
  readonly #run: RunCommand;
  readonly #prefix: string;

  /** `prefix` is what comes before `-save` and `-restore` in the programs' names. */
  constructor(family: "IPv4" | "IPv6", prefix: string, run: RunCommand) {
    this.family = family;
    this.#prefix = prefix;
    this.#run = run;
  }

  /** Name of the program that writes, for messages. */
  get restoreProgram(): string {
    return `${this.#prefix}-restore`;
  }

  /** What is installed now. Throws `CaptureError`. */
  read(): FamilyState {
    const done = this.#run(`${this.#prefix}-save`, []);
    if (!done.isSuccess) throw refusal(`${this.#prefix}-save`, done);
    return parseSaved(done.stdout);
  }

  /**
   * Applies a document without touching what it does not name; each table of it applies whole or not at all. Waits
   * up to 30 seconds for other users of iptables. Throws `CaptureError`.
   */
  write(document: string): void {
    if (document === "") return;
    const done = this.#run(this.restoreProgram, ["--noflush", "--wait=30"], document);
    if (!done.isSuccess) throw refusal(this.restoreProgram, done);
  }
}

/**
 * Finds the iptables programs that work here: the default ones, then those for nf_tables, then the legacy ones (a
 * kernel may have modules for only one). Throws `CaptureError` with the first refusal when none does.
 */
export function openPacketFilter(family: "IPv4" | "IPv6", backend: Backend, run: RunCommand): PacketFilter {
  const base = family === "IPv4" ? "iptables" : "ip6tables";
  const prefixes = backend === "default" ? [base, `${base}-nft`, `${base}-legacy`] : [`${base}-${backend}`];
  let first: CaptureError | null = null;
  for (const prefix of prefixes) {
    const filter = new PacketFilter(family, prefix, run);
    try {
      filter.read();
      return filter;
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      first ??= error;
    }
  }
  throw first ?? new CaptureError("no iptables programs to try");
}

/** One line that says what is missing, in the operator's terms. */
export function refusal(program: string, done: CommandResult): CaptureError {
  if (done.isMissing) return new CaptureError(`${program} is not installed (Debian's package: ${packageOf(program)})`);
  if (/permission denied|operation not permitted|must be root/i.test(done.complaint)) {
    return new CaptureError(`no permission to change the network: NET_ADMIN is needed (${program}: ${done.complaint})`);
  }
  return new CaptureError(`${program} failed: ${done.complaint}`);
}

function packageOf(program: string): string {
  return program === "ip" ? "iproute2" : "iptables";
}
