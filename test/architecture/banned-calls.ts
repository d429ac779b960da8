import type { SourceText } from "./source-text.ts";

interface Ban {
  readonly pattern: RegExp;
  /** Which view of the source the pattern is for. */
  readonly view: "code" | "withoutComments";
  /** Folders (ending in a slash) and files where it is at home. */
  readonly allowedIn: readonly string[];
  readonly why: string;
}

const bans: readonly Ban[] = [
  {
    pattern: /\bprocess\s*(?:\.\s*(?:env|argv)\b|\[)/g,
    view: "code",
    allowedIn: ["src/cli/", "src/main.ts"],
    why: "environment and arguments are read at the top and handed down, so that every part can be run by a test",
  },
  {
    pattern: /\bprocess\s*\.\s*(?:kill\b|(?:on|once|off|addListener)\s*\(\s*["']SIG)/g,
    view: "withoutComments",
    allowedIn: ["src/cli/", "src/main.ts"],
    why: "one place decides what a signal does to the process",
  },
  {
    pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bperformance\s*\.\s*now\b|\bhrtime\b/g,
    view: "code",
    allowedIn: ["src/core/"],
    why: "time comes from a Clock that is passed in, so that tests can hold it still",
  },
  {
    pattern: /(?<![.\w#])(?:setTimeout|setInterval)\s*\(|\btimers\/promises\b/g,
    view: "withoutComments",
    allowedIn: ["src/core/"],
    why: "timers go through the TimerWheel: one coarse timer, held still by tests",
  },
  {
    pattern: /\bMath\s*\.\s*random\b/g,
    view: "code",
    allowedIn: ["src/core/"],
    why: "chance comes from a Random that is passed in, so that a test can repeat it",
  },
  {
    pattern: /\b_handle\b/g,
    view: "code",
    allowedIn: ["src/listener/original-destination.ts"],
    why: "Node's internals are touched in one place only",
  },
  {
    pattern: /\bconsole\s*\./g,
    view: "code",
    allowedIn: [],
    why: "logging goes through telemetry/, output of a command through process.stdout",
  },
  {
    pattern: /(?:[:|&<,]|\bas)\s*any\b(?=\s*(?:[;,)=\]|&}>[]|$))/gm,
    view: "code",
    allowedIn: [],
    why: "a value of unknown shape is `unknown` until it was looked at",
  },
];

/** Calls that have no business in a file, a line each with the reason. For `src/` and `init/`. */
export function bannedCalls(source: SourceText): string[] {
  return bans
    .filter((ban) => !ban.allowedIn.some((place) => (place.endsWith("/") ? source.path.startsWith(place) : source.path === place)))
    .flatMap((ban) =>
      [...source[ban.view].matchAll(ban.pattern)].map((match) => {
        const line = source.text.slice(0, match.index).split("\n").length;
        return `${source.path}:${line}: ${match[0].trim()}: ${ban.why}`;
      }),
    );
}
