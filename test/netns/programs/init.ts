import { init } from "../../../src/cli/init.ts";

// `outrider init` as a program of its own, for running in a pod.
process.exitCode = await init(process.argv.slice(2), process.env);
