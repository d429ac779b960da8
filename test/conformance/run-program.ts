import { spawn } from "node:child_process";

/** Runs a program to its end, or ends it. Gives everything it wrote and its exit code, -1 when it was ended. */
export function runProgram(file: string, args: readonly string[], timeoutMs: number): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    const deadline = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    let output = "";
    const collect = (chunk: Buffer): void => {
      output += chunk.toString("utf8");
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", (error) => {
      clearTimeout(deadline);
      reject(error);
    });
    child.on("close", (code) => {
      clearTimeout(deadline);
      resolve({ code: code ?? -1, output });
    });
  });
}
