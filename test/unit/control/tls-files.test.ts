import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { TlsFiles } from "../../../src/control/tls-files.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";

/* The files that DestinationRules name, watched while time is held. */

const PEM = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`;

describe("files of TLS origination", () => {
  let directory = "";
  let nowMs = 0;
  let changes = 0;
  let timers: TimerWheel;
  let files: TlsFiles;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "outrider-tls-files-"));
    nowMs = 1_000;
    changes = 0;
    timers = new TimerWheel({ monotonicMs: () => nowMs, wallMs: () => nowMs }, { isDriven: true });
    files = new TlsFiles(timers, () => changes++);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const path = (name: string): string => join(directory, name);
  const write = (name: string, text: string): void => writeFileSync(path(name), text);
  const pass = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) {
      nowMs += 10;
      timers.advance();
    }
  };
  const compile = (...names: readonly string[]) => {
    const states = names.map((name) => files.digest(path(name)));
    files.compiled();
    return states;
  };

  it("a digest changes with the content and with nothing else", () => {
    write("a", PEM("one"));
    const [first] = compile("a");
    expect(first).toEqual({ digest: expect.stringMatching(/^[0-9a-f]{16}$/), problem: null });
    expect(compile("a")).toEqual([first]);
    write("a", PEM("another"));
    expect(compile("a")[0]?.digest).not.toBe(first?.digest);
  });

  it("tells of a change once it stands still, and of no other file", () => {
    write("a", PEM("one"));
    write("b", PEM("one"));
    compile("a");
    write("b", PEM("another"));
    pass(2_000);
    expect(changes).toBe(0);
    write("a", PEM("another"));
    pass(450);
    expect(changes).toBe(0);
    pass(450);
    expect(changes).toBe(1);
    compile("a");
    pass(2_000);
    expect(changes).toBe(1);
  });

  it("a file that was never there is a problem, and told of when it comes", () => {
    expect(compile("a")).toEqual([{ digest: null, problem: "does not exist" }]);
    write("a", PEM("one"));
    pass(900);
    expect(changes).toBe(1);
    expect(compile("a")[0]).toMatchObject({ problem: null });
  });

  it.each([["removed", null, "does not exist"], ["garbage", "no certificate at all", "holds no PEM"]])("a file that was good and is %s stays in use as it was", (_what, text, problem) => {
    write("a", PEM("one"));
    const [first] = compile("a");
    if (text === null) rmSync(path("a"));
    else write("a", text);
    pass(900);
    expect(changes).toBe(1);
    expect(compile("a")).toEqual([{ digest: first?.digest, problem }]);
    expect(compile("a")).toEqual([{ digest: first?.digest, problem }]);
  });

  it("looks at nothing once no file is named, or when it is stopped", () => {
    write("a", PEM("one"));
    compile("a");
    expect(timers.count).toBe(1);
    compile();
    expect(timers.count).toBe(0);
    compile("a");
    files.stop();
    expect(timers.count).toBe(0);
  });
});
