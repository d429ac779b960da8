import { spawnSync } from "node:child_process";

/** How a program ended. */
export interface CommandResult {
  /** The program was not found on the search path. */
  readonly isMissing: boolean;
  readonly isSuccess: boolean;
  readonly stdout: string;
  /** First line of its standard error, or how it was ended. */
  readonly complaint: string;
}

/** Runs a program to its end, with `input` on its standard input. */
export type RunCommand = (program: string, words: readonly string[], input?: string) => CommandResult;

/** Longest a program may take; iptables itself waits at most 30 s for its lock. */
const timeoutMs = 60_000;

/**
 * Runs programs of this host. The administrator's folders join the search path, since an ordinary user's often lacks
 * them and "not installed" would then be the wrong complaint.
 */
export function hostCommands(searchPath: string): RunCommand {
  const env = { PATH: `${searchPath}:/usr/sbin:/sbin`, LC_ALL: "C" };
  return (program, words, input = "") => {
    const done = spawnSync(program, words, { input, env, encoding: "utf8", timeout: timeoutMs, maxBuffer: 64 << 20 });
    const isMissing = done.error !== undefined && "code" in done.error && done.error.code === "ENOENT";
    const said = (done.stderr ?? "").split("\n").find((line) => line.trim() !== "" && !line.startsWith("#"));
    const ending = done.error?.message ?? (done.signal === null ? `exit code ${done.status}` : `signal ${done.signal}`);
    return {
      isMissing,
      isSuccess: done.error === undefined && done.status === 0,
      stdout: done.stdout ?? "",
      complaint: said?.trim() ?? ending,
    };
  };
}
