import { createServer } from "node:net";
import { isMainThread, Worker } from "node:worker_threads";

import { canonicalAddress } from "../../../src/core/cidr.ts";
import { systemOriginalDestination } from "../../../src/listener/original-destination.ts";

/**
 * Listens on each port given, on `::` for both families, and answers every connection with one line of JSON: the port
 * that took it, where it came from and where it was going. Prints `listening` when all are bound. `worker` as first
 * argument does it on a second thread, as the data plane does.
 */
const args = process.argv.slice(2);
if (args[0] === "worker" && isMainThread) {
  new Worker(new URL(import.meta.url), { argv: args.slice(1) });
} else {
  listen(args.map(Number));
}

function listen(ports: readonly number[]): void {
  const originalDestination = systemOriginalDestination();
  let waiting = ports.length;
  for (const port of ports) {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      const answer = {
        listener: port,
        from: canonicalAddress(socket.remoteAddress ?? ""),
        destination: originalDestination(socket),
      };
      socket.end(`${JSON.stringify(answer)}\n`);
    });
    server.listen(port, "::", () => {
      if (--waiting === 0) process.stdout.write("listening\n");
    });
  }
}
