import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSync } from "node:crypto";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { Clock } from "../../../src/core/clock.ts";
import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { IssuedCertificate } from "../../../src/identity/development-ca.ts";
import { IdentityFiles } from "../../../src/identity/identity-files.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import type { IdentityProblem } from "../../../src/identity/load-material.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { idOf, TRUST_DOMAIN } from "./test-mesh.ts";

/** A clock that stands still until told. */
class StillClock implements Clock {
  nowMs = Date.now();
  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return this.nowMs;
  }
}

const HOUR_MS = 3_600_000;
let directory: string;
let clock: StillClock;
let timers: TimerWheel;
let ca: DevelopmentCa;
let files: IdentityFiles;
let materials: IdentityMaterial[];
let problems: (readonly IdentityProblem[])[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "outrider-identity-"));
  clock = new StillClock();
  timers = new TimerWheel(clock, { isDriven: true });
  ca = DevelopmentCa.create(TRUST_DOMAIN, clock);
  materials = [];
  problems = [];
  files = watch(directory);
});

afterEach(() => {
  files.stop();
  rmSync(directory, { recursive: true });
});

function watch(folder: string): IdentityFiles {
  return new IdentityFiles({
    directory: folder, clock, timers, onMaterial: (material) => materials.push(material), onProblems: (found) => problems.push(found),
  });
}

/** Lets one second pass, the longest a change may take. */
function second(): void {
  for (let step = 0; step < 10; step++) {
    clock.nowMs += 100;
    timers.advance();
  }
}

function write(issued: IssuedCertificate, folder = directory): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "cert-chain.pem"), issued.certificateChainPem);
  writeFileSync(join(folder, "key.pem"), issued.privateKeyPem);
  writeFileSync(join(folder, "root-cert.pem"), issued.rootPem);
}

describe("IdentityFiles", () => {
  it("reads an identity that can be posted to another thread and put in force there", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    expect(problems).toEqual([]);
    const [material] = structuredClone(materials);
    expect(material).toMatchObject({ generation: 1, spiffeId: idOf("reviews"), trustDomain: TRUST_DOMAIN });
    expect(material?.notAfterMs).toBeGreaterThan(clock.nowMs + 24 * HOUR_MS);
    const identity = new TlsIdentity(clock);
    identity.apply(material as IdentityMaterial);
    expect(identity).toMatchObject({ isReady: true, generation: 1, ownSpiffeId: idOf("reviews") });
  });

  it("takes a renewed certificate within a second, and nothing twice", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    second();
    expect(materials).toHaveLength(1);
    write(ca.issue(idOf("reviews")));
    second();
    second();
    expect(materials.map(({ generation }) => generation)).toEqual([1, 2]);
    expect(problems).toEqual([]);
  });

  it("follows the swap of a symlink, as Kubernetes updates a mounted secret", () => {
    write(ca.issue(idOf("reviews")), join(directory, "one"));
    write(ca.issue(idOf("reviews")), join(directory, "two"));
    symlinkSync("one", join(directory, "..data"));
    files = watch(join(directory, "..data"));
    files.start();
    symlinkSync("two", join(directory, "..data_tmp"));
    renameSync(join(directory, "..data_tmp"), join(directory, "..data"));
    second();
    expect(materials).toHaveLength(2);
  });

  it("waits for the second half of a rotation without a word", () => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const next = ca.issue(idOf("reviews"));
    writeFileSync(join(directory, "cert-chain.pem"), next.certificateChainPem);
    clock.nowMs += 410;
    timers.advance();
    writeFileSync(join(directory, "key.pem"), next.privateKeyPem);
    second();
    expect(materials).toHaveLength(2);
    expect(problems).toEqual([]);
  });

  it("says what is missing, and takes it up once it comes", () => {
    files.start();
    expect(problems).toEqual([[{ file: "cert-chain.pem", reason: "does not exist" }]]);
    write(ca.issue(idOf("reviews")));
    second();
    expect(materials).toHaveLength(1);
    expect(problems.at(-1)).toEqual([]);
  });

  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  it.each<[string, string, RegExp, () => void]>([
    ["a key of another certificate", "key.pem", /does not belong/, () => put("key.pem", stranger.export({ type: "pkcs8", format: "pem" }))],
    ["an encrypted key", "key.pem", /encrypted/, () => put("key.pem", stranger.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }))],
    ["a key that is none", "key.pem", /not a private key/, () => put("key.pem", "hello")],
    ["an empty chain", "cert-chain.pem", /no certificate/, () => put("cert-chain.pem", "")],
    ["a truncated chain", "cert-chain.pem", /cannot be read/, () => put("cert-chain.pem", ca.issue(idOf("a")).certificateChainPem.slice(0, 200))],
    ["two identities", "cert-chain.pem", /tls_peer_two_uri_sans/, () => write(ca.issue(idOf("a"), { uris: [idOf("a"), idOf("b")] }))],
    ["an expired leaf", "cert-chain.pem", /tls_peer_expired/, () => write(ca.issue(idOf("a"), { notBeforeMs: -2 * HOUR_MS, lifetimeMs: -HOUR_MS }))],
    ["a leaf of another root", "cert-chain.pem", /tls_peer_unknown_ca/, () => put("root-cert.pem", DevelopmentCa.create(TRUST_DOMAIN, clock).rootPem)],
    ["a root that is no CA", "root-cert.pem", /not a CA/, () => put("root-cert.pem", ca.issue(idOf("a")).certificateChainPem)],
    ["no root", "root-cert.pem", /no certificate/, () => put("root-cert.pem", "\n")],
    ["a huge file", "root-cert.pem", /larger/, () => put("root-cert.pem", "x".repeat(2_000_000))],
  ])("keeps the old identity when it finds %s, and names the file", (_, file, reason, spoil) => {
    write(ca.issue(idOf("reviews")));
    files.start();
    const { privateKeyPem } = materials[0] as IdentityMaterial;
    spoil();
    second();
    expect(files.material).toBe(materials[0]);
    expect(materials).toHaveLength(1);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject([{ file, reason: expect.stringMatching(reason) as unknown }]);
    expect(JSON.stringify(problems)).not.toContain(privateKeyPem.slice(40, 80));
  });

  it("takes a certificate of a CA whose clock is ahead once its time has come", () => {
    write(ca.issue(idOf("reviews"), { notBeforeMs: HOUR_MS, lifetimeMs: 24 * HOUR_MS }));
    files.start();
    expect(problems).toMatchObject([[{ reason: expect.stringContaining("tls_peer_not_yet_valid") as unknown }]]);
    clock.nowMs += HOUR_MS;
    second();
    expect(materials).toHaveLength(1);
    expect(problems.at(-1)).toEqual([]);
  });

  it("reads federated bundles, keeps the last good one of each, and drops what was removed", () => {
    const other = DevelopmentCa.create("other.example", clock);
    write(ca.issue(idOf("reviews")));
    mkdirSync(join(directory, "bundles"));
    put("bundles/other.example.pem", other.rootPem);
    put("bundles/NOT A DOMAIN.pem", other.rootPem);
    put("bundles/README", "not read");
    files.start();
    expect(materials[0]?.bundles.map(({ trustDomain }) => trustDomain)).toEqual([TRUST_DOMAIN, "other.example"]);
    expect(problems).toMatchObject([[{ file: "bundles/NOT A DOMAIN.pem", reason: expect.stringContaining("trust domain") as unknown }]]);
    put("bundles/other.example.pem", "garbage");
    second();
    expect(problems.at(-1)).toHaveLength(2);
    write(ca.issue(idOf("reviews")));
    second();
    expect(materials.at(-1)?.bundles[1]).toEqual({ trustDomain: "other.example", pem: other.rootPem });
    rmSync(join(directory, "bundles"), { recursive: true });
    second();
    expect(materials.at(-1)?.bundles).toHaveLength(1);
    expect(problems.at(-1)).toEqual([]);
  });
});

function put(file: string, content: string | Buffer): void {
  writeFileSync(join(directory, file), content);
}
