import type { Socket } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { security } from "../integration/mesh-resources.ts";
import { ProxyPair } from "../integration/proxy-pair.ts";
import { eventually, rawServer } from "../integration/proxy-under-test.ts";
import { RunningServer, SERVERS, whatIsMissing } from "./database-servers.ts";
import { runProgram } from "./run-program.ts";

/*
 * Servers as Debian ships them, asked by their own clients through two sidecars, on a port whose protocol nobody
 * declared. `SERVERS` says who speaks first.
 */

const CLIENT_TIMEOUT_MS = 30_000;
const MODES = ["PERMISSIVE", "STRICT"] as const;

for (const server of SERVERS) {
  const missing = whatIsMissing(server);
  if (missing !== null) process.stdout.write(`skipped: ${server.name} through two sidecars: there is no ${missing}\n`);

  describe.skipIf(missing !== null)(`${server.name}, where the ${server.first} speaks first`, () => {
    let running: RunningServer;

    beforeAll(async () => {
      running = await RunningServer.start(server);
    });
    afterAll(() => running?.stop());

    /** What the client prints when it is led to `connect`. */
    async function ask(connect: () => Socket): Promise<{ readonly output: string; readonly answer: RegExp }> {
      const bridge = await rawServer((socket) => {
        const through = connect();
        through.on("error", () => socket.resetAndDestroy());
        through.on("close", () => socket.destroy());
        socket.on("close", () => through.destroy());
        socket.pipe(through);
        through.pipe(socket);
      });
      const { words: [program = "", ...args], answer } = server.ask(bridge.port);
      try {
        return { output: (await runProgram(program, args, CLIENT_TIMEOUT_MS)).output, answer };
      } finally {
        bridge.close();
      }
    }

    async function pair(mode: string): Promise<ProxyPair> {
      return ProxyPair.start({ port: running.port, portName: "something", resources: [security("PeerAuthentication", "default", { mtls: { mode } })] });
    }

    it.each(MODES)("answers its client from sidecar to sidecar, without a time-out (%s)", async (mode) => {
      const opened = await pair(mode);
      const { output, answer } = await ask(() => opened.connect());
      expect(output).toMatch(answer);
      const metrics = await opened.caller.metrics();
      expect(metrics).toContain(`outrider_protocol_detections_total{direction="outbound",outcome="${server.first === "server" ? "server_first" : "opaque"}"}`);
      expect(metrics).not.toContain('outcome="timeout"');
      await eventually(() => opened.callee.accessLog.length > 0, "the connection ended");
      expect(opened.callee.accessLog.at(-1)).toMatchObject({ peer_principal: "spiffe://cluster.local/ns/default/sa/productpage" });
      opened.stop();
    });

    it("answers a client without a sidecar under PERMISSIVE, without a time-out", async () => {
      const opened = await pair("PERMISSIVE");
      const { output, answer } = await ask(() => opened.callee.connectInbound(running.port));
      expect(output).toMatch(answer);
      expect(await opened.callee.metrics()).not.toContain('outcome="timeout"');
      opened.stop();
    });
  });
}
