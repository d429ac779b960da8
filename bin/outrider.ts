#!/usr/bin/env node
import { runCommand } from "../src/cli/run-command.ts";

// No top-level await: the bundle is CommonJS, which has none.
void runCommand(process.argv.slice(2), process.env).then((exitCode) => {
  process.exitCode = exitCode;
});
