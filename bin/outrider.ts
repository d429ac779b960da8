#!/usr/bin/env -S node --single-threaded-gc
import { runCommand } from "../src/cli/run-command.ts";

/*
 * --single-threaded-gc: each thread collects its own garbage. V8's helpers are threads too; where a sidecar has one CPU
 * or less they run nowhere else, the collection waits for them, and requests wait behind whatever else is scheduled
 * there. V8 takes the option at its start only, and not from NODE_OPTIONS, so it is said to every `node` that runs this.
 */

// No top-level await: the bundle is CommonJS, which has none.
void runCommand(process.argv.slice(2), process.env).then((exitCode) => {
  process.exitCode = exitCode;
});
