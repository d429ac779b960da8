import { optionProblem } from "./node-options.ts";

/** The first release of each line that has the security fixes the data path relies on. */
const FLOOR: Readonly<Record<number, readonly [number, number]>> = { 22: [23, 2], 24: [18, 1], 26: [5, 1] };
const OLDEST = 22;
const NEWEST_WITH_FLOOR = 26;

/**
 * Why this Node may not run the proxy, in one sentence, or null: a release below the security floor, or an environment or
 * options that weaken it (docs/security.md says of each why, and which are let through).
 *
 * @param version `process.versions.node`
 * @param execArgv the options Node itself was given
 */
export function nodeProblem(version: string, environment: NodeJS.ProcessEnv, execArgv: readonly string[]): string | null {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  if (!isAboveFloor(major, minor, patch)) {
    return `Node ${version} is below the security floor (22.23.2, 24.18.1 or 26.5.1); in a checkout, npm run outrider uses the pinned one`;
  }
  if (environment["NODE_TLS_REJECT_UNAUTHORIZED"] === "0") return "NODE_TLS_REJECT_UNAUTHORIZED=0 would switch certificate checks off; unset it";
  const debug = ["NODE_DEBUG", "NODE_DEBUG_NATIVE"].find((name) => (environment[name] ?? "") !== "");
  if (debug !== undefined) return `${debug} would write what the proxy must not log, tokens among it; unset it`;
  return optionProblem(environment["NODE_OPTIONS"] ?? "", execArgv);
}

function isAboveFloor(major: number, minor: number, patch: number): boolean {
  if (major > NEWEST_WITH_FLOOR) return true;
  const floor = FLOOR[major];
  // Lines between the long-term ones are not maintained.
  if (major < OLDEST || floor === undefined) return false;
  return minor > floor[0] || (minor === floor[0] && patch >= floor[1]);
}
