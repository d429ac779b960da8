import { writeFileSync } from "node:fs";

import { VERSION } from "../../src/cli/version.ts";
import { conformanceTable } from "./conformance-table.ts";
import { runGrpcInterop } from "./grpc-interop-suite.ts";
import { runH2spec } from "./h2spec-suite.ts";
import { findPeer, GRPC_CLIENT, GRPC_SERVER, H2SPEC, versionOf, whySkipped } from "./peers.ts";
import { failuresOf } from "./suite-report.ts";

/* `npm run conformance`: runs the suites and writes docs/conformance.md. */

const PEERS = [H2SPEC, GRPC_CLIENT, GRPC_SERVER];

async function main(): Promise<number> {
  const missing = whySkipped(...PEERS);
  if (missing !== null) {
    process.stderr.write(missing);
    return 2;
  }
  const [h2spec = "", client = "", server = ""] = PEERS.map((peer) => findPeer(peer) ?? "");
  const reports = [...await runH2spec(h2spec), await runGrpcInterop(client, server)];
  const peers = PEERS.map((peer, index) => ({ ...peer, version: versionOf([h2spec, client, server][index] ?? "", peer.module) }));
  const facts = { date: new Date().toISOString().slice(0, 10), outriderVersion: VERSION, nodeVersion: process.versions.node, peers };
  writeFileSync(new URL("../../docs/conformance.md", import.meta.url), conformanceTable(reports, facts));
  const failures = reports.flatMap(failuresOf);
  process.stdout.write(failures.length === 0 ? "docs/conformance.md is written, nothing failed\n" : `${failures.join("\n")}\n`);
  return failures.length === 0 ? 0 : 1;
}

process.exitCode = await main();
