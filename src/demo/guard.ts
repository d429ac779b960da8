import { type ChildProcess, spawn } from "node:child_process";

/**
 * Reads what must not outlive the demo, a line each. When its standard input ends without `done`, the demo was killed:
 * it then removes everything named.
 */
const SCRIPT = `
pids=" " spaces=
while read -r word what; do
  case "$word" in
    pid) pids="$pids$what " ;;
    gone) pids=$(printf '%s' "$pids" | sed "s/ $what / /") ;;
    namespace) spaces="$spaces $what" ;;
    done) exit 0 ;;
  esac
done
[ "$pids" = " " ] || kill -9 $pids
for space in $spaces; do ip netns del "$space"; done
rm -rf "$1"
`;

/**
 * A small process beside the demo that tidies up after it should the demo itself be killed in a way no program can
 * answer (SIGKILL, out of memory).
 */
export class Guard {
  readonly #child: ChildProcess;

  /** `folder` is removed with everything in it. `environment` must lead to `sh`, `sed`, `rm` and, for namespaces, `ip`. */
  constructor(folder: string, environment: NodeJS.ProcessEnv) {
    this.#child = spawn("sh", ["-c", SCRIPT, "outrider-demo-guard", folder], { env: environment, stdio: ["pipe", "ignore", "ignore"], detached: true });
    // Without it the demo still tidies up behind itself, unless it is killed.
    this.#child.on("error", () => undefined);
    this.#child.stdin?.on("error", () => undefined);
    this.#child.unref();
  }

  /** This process is to be killed. */
  watch(pid: number): void {
    this.#tell(`pid ${pid}`);
  }

  /** This process ended by itself: its number may soon be another's. */
  forget(pid: number): void {
    this.#tell(`gone ${pid}`);
  }

  /** This network namespace is to be removed. */
  watchNamespace(name: string): void {
    this.#tell(`namespace ${name}`);
  }

  /** All is tidy. */
  done(): void {
    this.#child.stdin?.end("done\n");
  }

  #tell(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }
}
