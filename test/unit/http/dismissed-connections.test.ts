import { setImmediate as nextImmediate } from "node:timers/promises";

import { beforeEach, expect, it } from "vitest";
import { DismissedConnections } from "../../../src/http/dismissed-connections.ts";
import { ProxyError } from "../../../src/message/proxy-error.ts";
import { ManualTime } from "../cluster/fakes.ts";

const ERROR = new ProxyError("no_longer_accepted", "why");
let time: ManualTime;
let open: Set<FakeConnection>;
let cut: FakeConnection[];
let dismissed: DismissedConnections<FakeConnection>;

/** Takes a tenth of a millisecond to cut. */
class FakeConnection {
  isFinishing = false;
  constructor() {
    open.add(this);
  }
  finish(error: ProxyError): void {
    this.isFinishing = error === ERROR;
  }
  destroy(error: ProxyError): void {
    expect(error).toBe(ERROR);
    time.nowMs += 0.1;
    open.delete(this);
    cut.push(this);
  }
}

beforeEach(() => {
  time = new ManualTime();
  open = new Set();
  cut = [];
  dismissed = new DismissedConnections({ clock: time, timers: time.timers }, (connection) => open.has(connection));
});

/** Lets what is done a few at a time go on. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 200; turn++) await nextImmediate();
}

function dismiss(): FakeConnection {
  const connection = new FakeConnection();
  dismissed.add(connection, ERROR);
  return connection;
}

it("a connection is finished at once, and cut 0.8 seconds later if it is still open", async () => {
  const [endless, ending] = [dismiss(), dismiss()];
  expect([endless.isFinishing, dismissed.has(endless)]).toEqual([true, true]);
  time.pass(790);
  expect(cut).toEqual([]);
  open.delete(ending);
  time.pass(20);
  await settle();
  expect(cut).toEqual([endless]);
  expect([dismissed.has(endless), dismissed.has(ending), time.timers.count]).toEqual([false, false, 0]);
});

it("each has its own time", async () => {
  const first = dismiss();
  time.pass(500);
  const second = dismiss();
  time.pass(400);
  await settle();
  expect(cut).toEqual([first]);
  time.pass(300);
  await settle();
  time.pass(200);
  await settle();
  expect(cut).toEqual([first, second]);
});

it("a thousand are cut a few at a time", async () => {
  for (let count = 0; count < 1_000; count++) dismiss();
  // To the time, and no further: what `pass` itself does must not hide what a step takes.
  time.nowMs += 810;
  let startedAtMs = time.nowMs;
  time.timers.advance();
  while (cut.length < 1_000) {
    expect(time.nowMs - startedAtMs).toBeLessThan(0.5);
    startedAtMs = time.nowMs;
    await nextImmediate();
  }
  await settle();
  expect([cut.length, time.timers.count]).toEqual([1_000, 0]);
});
