#!/usr/bin/env -S node --single-threaded-gc --no-allocation-site-pretenuring --disable-sigusr1
import { runCommand } from "../src/cli/run-command.ts";

/*
 * --single-threaded-gc: each thread collects its own garbage. V8's helpers are threads too; where a sidecar has one CPU
 * or less they run nowhere else, the collection waits for them, and requests wait behind whatever else is scheduled
 * there.
 * --no-allocation-site-pretenuring: nothing is born old. After a burst V8 may take what each request allocates for long-lived;
 * its buffers then wait for full collections, of which there were a dozen a second from then on.
 * --disable-sigusr1: not even before the program has begun does this signal open a debugger.
 * V8 takes the first two at its start only, and not from NODE_OPTIONS, so they are said to every `node` that runs this.
 */

// No top-level await: the bundle is CommonJS, which has none.
void runCommand(process.argv.slice(2), process.env).then((exitCode) => {
  process.exitCode = exitCode;
});
