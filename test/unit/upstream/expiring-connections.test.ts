import { Socket } from "node:net";

import { beforeEach, expect, it } from "vitest";
import type { UpstreamFacts } from "../../../src/upstream/connector.ts";
import { ExpiringConnections } from "../../../src/upstream/expiring-connections.ts";
import { ManualTime } from "../cluster/fakes.ts";

let time: ManualTime;
let told: string[];
let expiring: ExpiringConnections;
let opened: Socket[];

beforeEach(() => {
  time = new ManualTime();
  told = [];
  opened = [];
  expiring = new ExpiringConnections({ clock: time, timers: time.timers }, {
    expired: () => told.push("expired"),
    cut: ({ peerSpiffeId }) => told.push(`cut ${peerSpiffeId}`),
  });
});

const factsOf = (peerSpiffeId: string | null, lastsMs: number): UpstreamFacts => ({
  local: { address: "10.0.0.9", port: 5000 }, remote: { address: "10.0.0.1", port: 80 }, peerSpiffeId, alpn: null, generation: 1,
  ...(peerSpiffeId === null ? {} : { peerExpiresAtMs: time.nowMs + lastsMs }),
});

/** Dials a peer whose certificate lasts so long. */
function dial(peerSpiffeId: string | null, lastsMs: number): Socket {
  const socket = new Socket();
  // One that never connected complains of being reset.
  socket.on("error", () => undefined);
  expiring.watching((_error, given) => opened.push(given as Socket))(null, socket, factsOf(peerSpiffeId, lastsMs));
  return socket;
}

it("tells of the end of each certificate, and cuts what is open five seconds after it", () => {
  const [first, second] = [dial("first", 60_000), dial("second", 120_000)];
  expect(opened).toEqual([first, second]);
  time.pass(59_000);
  expect(told).toEqual([]);
  time.pass(2_500);
  expect(told).toEqual(["expired"]);
  time.pass(6_000);
  expect(told).toEqual(["expired", "expired", "cut first"]);
  expect([first.destroyed, second.destroyed]).toEqual([true, false]);
  time.pass(60_000);
  expect(told.at(-1)).toBe("cut second");
  expect([second.destroyed, time.timers.count]).toEqual([true, 0]);
});

it("forgets a connection that closes, and watches none without a certificate", () => {
  dial("gone", 60_000).emit("close");
  dial(null, 0);
  time.pass(80_000);
  expect(told.filter((each) => each !== "expired")).toEqual([]);
});

it("knows whose certificate has ended, by the time of day", () => {
  const facts = factsOf("peer", 60_000);
  expect([expiring.hasExpired(facts), expiring.hasExpired(factsOf(null, 0))]).toEqual([false, false]);
  time.pass(60_000);
  expect(expiring.hasExpired(facts)).toBe(true);
});
