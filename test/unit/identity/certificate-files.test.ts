import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { exposedKey } from "../../../src/control/exposed-key.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DevelopmentCa, type IssuedCertificate } from "../../../src/identity/development-ca.ts";
import { IdentityFiles } from "../../../src/identity/identity-files.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import type { IdentityProblem } from "../../../src/identity/load-material.ts";
import { StillClock } from "./still-clock.ts";
import { idOf, TRUST_DOMAIN } from "./test-mesh.ts";

/* hostile.md D03 and D07, faults.md F13 and F14, for the certificate folder: whatever it looks like in between, the old identity serves until a whole new one is there. */

const HOUR_MS = 3_600_000;
const NAMES = ["cert-chain.pem", "key.pem", "root-cert.pem"] as const;

let folder: string;
let clock: StillClock;
let timers: TimerWheel;
let ca: DevelopmentCa;
let files: IdentityFiles;
let materials: IdentityMaterial[];
let problems: (readonly IdentityProblem[])[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "outrider-certificates-"));
  clock = new StillClock();
  timers = new TimerWheel(clock, { isDriven: true });
  ca = DevelopmentCa.create(TRUST_DOMAIN, clock);
  materials = [];
  problems = [];
  files = watch(folder);
});

afterEach(() => {
  files.stop();
  rmSync(folder, { recursive: true, force: true });
});

function watch(directory: string): IdentityFiles {
  return new IdentityFiles({ directory, clock, timers, onMaterial: (material) => materials.push(material), onProblems: (found) => problems.push(found) });
}

/** Longer than one look at the files, shorter than two. */
function look(): void {
  clock.nowMs += 410;
  timers.advance();
}

function textsOf(issued: IssuedCertificate): readonly string[] {
  return [issued.certificateChainPem, issued.privateKeyPem, issued.rootPem];
}

function write(issued: IssuedCertificate, directory = folder): void {
  mkdirSync(directory, { recursive: true });
  for (const [at, text] of textsOf(issued).entries()) writeFileSync(join(directory, NAMES[at] ?? ""), text);
}

const served = (): IdentityMaterial | undefined => materials.at(-1);

describe("D03 the certificate folder", () => {
  it("of Kubernetes, a farm of symlinks swapped at once, is one rotation for each swap", () => {
    for (const version of ["..1", "..2", "..3"]) write(ca.issue(idOf("reviews")), join(folder, version));
    symlinkSync("..1", join(folder, "..data"));
    for (const name of NAMES) symlinkSync(join("..data", name), join(folder, name));
    files.start();
    for (const version of ["..2", "..3"]) {
      symlinkSync(version, join(folder, "..data_tmp"));
      renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
      look();
      look();
    }
    rmSync(join(folder, "..1"), { recursive: true });
    look();
    expect(materials).toHaveLength(3);
    expect(problems).toEqual([]);
  });

  it("whose files are renamed into place one after the other is one rotation, without a word in between", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    write(ca.issue(idOf("reviews")), join(folder, "new"));
    for (const name of NAMES) {
      renameSync(join(folder, "new", name), join(folder, name));
      look();
    }
    look();
    expect(materials).toHaveLength(2);
    expect(problems).toEqual([]);
  });

  it("that is written to a thousand times between two looks is looked at twice", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const [one, other] = [ca.issue(idOf("reviews")), ca.issue(idOf("reviews"))];
    for (let round = 0; round < 500; round++) write(round % 2 === 0 ? one : other);
    look();
    look();
    expect(materials).toHaveLength(2);
    expect(served()?.privateKeyPem).toBe(other.privateKeyPem);
  });

  it("whose files keep size and time is read all the same", () => {
    write(ca.issue(idOf("reviews")));
    const then = new Date(1_700_000_000_000);
    for (const name of NAMES) utimesSync(join(folder, name), then, then);
    files.start();
    write(ca.issue(idOf("reviews")));
    for (const name of NAMES) utimesSync(join(folder, name), then, then);
    look();
    expect(materials).toHaveLength(2);
  });

  it("that is deleted is named, and taken up again when it is back", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    rmSync(folder, { recursive: true });
    look();
    look();
    expect(files.material).toBe(materials[0]);
    expect(problems.at(-1)).toEqual([{ file: "cert-chain.pem", reason: "does not exist" }]);
    write(ca.issue(idOf("reviews")));
    look();
    look();
    expect(materials).toHaveLength(2);
    expect(problems.at(-1)).toEqual([]);
  });

  it.skipIf(process.getuid?.() === 0)("that may not be read is named", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    chmodSync(join(folder, "key.pem"), 0);
    look();
    look();
    expect(problems.at(-1)).toEqual([{ file: "key.pem", reason: "cannot be read (EACCES)" }]);
  });
});

describe("F14 files half-written", () => {
  it.each(NAMES)("%s, cut anywhere, changes nothing and is whole again with the rest of it", (name) => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const issued = ca.issue(idOf("reviews"));
    const text = textsOf(issued)[NAMES.indexOf(name)] ?? "";
    for (const part of [0, 0.1, 0.5, 0.9]) {
      write(issued);
      truncateSync(join(folder, name), Math.floor(text.length * part));
      look();
      look();
      expect(files.material, `${name} cut at ${part}`).toBe(materials[0]);
      expect(problems.at(-1)?.[0]).toBeDefined();
    }
    write(issued);
    look();
    look();
    expect(materials).toHaveLength(2);
    expect(problems.at(-1)).toEqual([]);
  });

  it("of two intermediates, the second cut off, is refused where it is needed", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const issued = ca.intermediate("one").intermediate("two").issue(idOf("reviews"));
    write({ ...issued, certificateChainPem: issued.certificateChainPem.slice(0, issued.certificateChainPem.lastIndexOf("-----BEGIN")) });
    look();
    look();
    expect(materials).toHaveLength(1);
    expect(problems.at(-1)).toMatchObject([{ file: "cert-chain.pem", reason: expect.stringContaining("tls_peer_unknown_ca") as string }]);
  });
});

describe("D07 keys and certificates", () => {
  it("that do not belong together at any look of a rotation are never used together", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    for (let round = 0; round < 4; round++) {
      const issued = ca.issue(idOf("reviews"));
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const at of order) {
        writeFileSync(join(folder, NAMES[at] ?? ""), textsOf(issued)[at] ?? "");
        look();
      }
      expect(served()).toMatchObject({ certificateChainPem: issued.certificateChainPem, privateKeyPem: issued.privateKeyPem });
    }
    expect(materials).toHaveLength(5);
    expect(problems).toEqual([]);
  });

  it("whose last root has expired are not taken up, and the reason is named", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const old = DevelopmentCa.create(TRUST_DOMAIN, clock, { notBeforeMs: -2 * HOUR_MS, lifetimeMs: -HOUR_MS });
    write(old.issue(idOf("reviews")));
    look();
    look();
    expect(materials).toHaveLength(1);
    expect(problems.at(-1)).toMatchObject([{ reason: expect.stringContaining("tls_peer_ca_expired") as string }]);
  });

  it.each([[0o644, /^key\.pem may be read by every user \(mode 0644\)/], [0o604, /mode 0604/], [0o640, null], [0o600, null]] as const)("a key of mode %o is warned of when everybody may read it", (mode, warning) => {
    write(ca.issue(idOf("reviews")));
    chmodSync(join(folder, "key.pem"), mode);
    const told = exposedKey(folder);
    if (warning === null) expect(told).toBeNull();
    else expect(told).toMatch(warning);
    expect(exposedKey(join(folder, "nowhere"))).toBeNull();
  });
});

describe("F13 a clock that is set", () => {
  it("keeps looking at the files as often as before, and judges what comes by the new time", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    clock.setMs = 3000 * 24 * HOUR_MS;
    write(ca.issue(idOf("reviews")));
    look();
    expect(materials).toHaveLength(2);
    clock.setMs = 0;
    // Made by a clock that was years ahead: not valid yet, and named with its validity.
    write(DevelopmentCa.create(TRUST_DOMAIN, { monotonicMs: () => 0, wallMs: () => clock.nowMs + 3000 * 24 * HOUR_MS }).issue(idOf("reviews")));
    look();
    look();
    expect(materials).toHaveLength(2);
    expect(problems.at(-1)).toMatchObject([{ file: "cert-chain.pem", reason: expect.stringMatching(/tls_peer_not_yet_valid, it is valid from 20\d\d-.*Z to 20\d\d-.*Z$/) as string }]);
    // The same files become good when the time has come, without being touched.
    clock.setMs = 3001 * 24 * HOUR_MS;
    look();
    expect(materials).toHaveLength(3);
    expect(problems.at(-1)).toEqual([]);
  });
});
