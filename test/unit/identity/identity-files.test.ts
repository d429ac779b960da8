import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPairSync } from "node:crypto";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { TimerWheel } from "../../../src/core/timer-wheel.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import type { IssuedCertificate } from "../../../src/identity/development-ca.ts";
import { IdentityFiles } from "../../../src/identity/identity-files.ts";
import type { IdentityMaterial } from "../../../src/identity/identity-material.ts";
import type { IdentityProblem } from "../../../src/identity/load-material.ts";
import { TlsIdentity } from "../../../src/identity/tls-identity.ts";
import { StillClock } from "./still-clock.ts";
import { authorityKey, bundleDocument, idOf, TRUST_DOMAIN } from "./test-mesh.ts";

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

it("a federated bundle that was never good leaves the domain to nobody, our own roots least of all: it may be an alias", () => {
  write(ca.issue(idOf("reviews")));
  mkdirSync(join(directory, "bundles"));
  put("bundles/alias.example.pem", "garbage");
  files.start();
  const identity = new TlsIdentity(clock);
  identity.apply(files.material as IdentityMaterial);
  expect(identity.acceptsTrustDomain("alias.example", [TRUST_DOMAIN, "alias.example"])).toBe(false);
  rmSync(join(directory, "bundles/alias.example.pem"));
  second();
  identity.apply(files.material as IdentityMaterial);
  expect(identity.acceptsTrustDomain("alias.example", [TRUST_DOMAIN, "alias.example"])).toBe(true);
});

it("a folder of bundles that cannot be listed takes no bundle away, and is named", () => {
  const other = DevelopmentCa.create("other.example", clock);
  write(ca.issue(idOf("reviews")));
  mkdirSync(join(directory, "bundles"));
  put("bundles/other.example.pem", other.rootPem);
  files.start();
  renameSync(join(directory, "bundles"), join(directory, "kept"));
  symlinkSync("bundles", join(directory, "bundles"));
  second();
  expect(problems).toEqual([[{ file: "bundles", reason: "cannot be read (ELOOP)" }]]);
  expect(files.material?.bundles[1]).toEqual({ trustDomain: "other.example", pem: other.rootPem });
  rmSync(join(directory, "bundles"));
  second();
  expect(problems.at(-1)).toEqual([]);
  expect(files.material?.bundles).toHaveLength(1);
});

it("reads 256 bundles, and names the first of more", () => {
  write(ca.issue(idOf("reviews")));
  mkdirSync(join(directory, "bundles"));
  for (let number = 100; number < 358; number++) put(`bundles/d${number}.example.pem`, ca.rootPem);
  files.start();
  expect(materials[0]?.bundles.filter(({ pem }) => pem !== "")).toHaveLength(257);
  expect(materials[0]?.bundles).toContainEqual({ trustDomain: "d356.example", pem: "" });
  expect(problems).toEqual([[{ file: "bundles/d356.example.pem", reason: "and what follows it is not read: there are more than 256 bundles" }]]);
});

describe("a federated domain's SPIFFE bundle document", () => {
  const NAME = "bundles/other.example.json";
  let other: DevelopmentCa;

  beforeEach(() => {
    other = DevelopmentCa.create("other.example", clock);
    write(ca.issue(idOf("reviews")));
    mkdirSync(join(directory, "bundles"));
  });

  function document(sequence: number | null, roots: readonly string[] = [other.rootPem]): string {
    return bundleDocument(roots.map(authorityKey), sequence === null ? {} : { spiffe_sequence: sequence });
  }

  function federated(): string | undefined {
    return files.material?.bundles.find(({ trustDomain }) => trustDomain === "other.example")?.pem;
  }

  it("is read as its certificates, and what changes is a new generation", () => {
    put(NAME, document(1));
    files.start();
    expect(federated()).toBe(other.rootPem.replaceAll("\r", ""));
    const next = DevelopmentCa.create("other.example", clock);
    put(NAME, document(2, [other.rootPem, next.rootPem]));
    second();
    expect(materials.map(({ generation }) => generation)).toEqual([1, 2]);
    expect(federated()).toContain(next.rootPem.replaceAll("\r", ""));
    expect(problems).toEqual([]);
  });

  it("without keys revokes all of the domain's roots, and can be put in force", () => {
    put(NAME, document(1));
    files.start();
    put(NAME, document(2, []));
    second();
    expect(federated()).toBe("");
    const identity = new TlsIdentity(clock);
    identity.apply(files.material as IdentityMaterial);
    expect(identity.isReady).toBe(true);
    expect(problems).toEqual([]);
  });

  it("that is broken, or older than the one in force, is named, and the last good one stays", () => {
    put(NAME, document(7));
    files.start();
    put(NAME, document(6, []));
    second();
    expect(federated()).not.toBe("");
    expect(problems.at(-1)).toEqual([{ file: NAME, reason: "has spiffe_sequence 6 though 7 was in force: an older bundle could bring back roots that were revoked" }]);
    put(NAME, '{"keys":{}}');
    second();
    expect(problems.at(-1)).toEqual([{ file: NAME, reason: "is no SPIFFE bundle: it has no list of keys" }]);
    put(NAME, document(null));
    second();
    expect(problems.at(-1)).toEqual([]);
    put(NAME, document(6));
    second();
    expect(problems.at(-1)).toMatchObject([{ file: NAME, reason: expect.stringContaining("6 though 7") as unknown }]);
    rmSync(join(directory, NAME));
    second();
    put(NAME, document(6));
    second();
    expect(problems.at(-1)).toEqual([]);
    expect(federated()).not.toBeUndefined();
    expect(materials).toHaveLength(3);
  });

  it("with an authority that is no CA is refused", () => {
    put(NAME, bundleDocument([authorityKey(ca.issue(idOf("reviews")).certificateChainPem)]));
    files.start();
    expect(federated()).toBe("");
    expect(problems).toMatchObject([[{ file: NAME, reason: expect.stringContaining("not a CA") as unknown }]]);
  });

  it("beside a PEM file of the same domain: neither is read, the last good one stays, and both are named", () => {
    put("bundles/other.example.pem", other.rootPem);
    put(NAME, document(1, []));
    files.start();
    expect(federated()).toBe("");
    expect(problems[0]?.map(({ file }) => file)).toEqual([NAME, "bundles/other.example.pem"]);
    expect(problems[0]?.[0]?.reason).toContain("nobody knows which counts");
    rmSync(join(directory, NAME));
    second();
    expect(federated()).toBe(other.rootPem);
    put(NAME, document(1, []));
    second();
    expect(federated()).toBe(other.rootPem);
    rmSync(join(directory, "bundles/other.example.pem"));
    second();
    expect(federated()).toBe("");
    expect(problems.at(-1)).toEqual([]);
  });

  it("an empty PEM file is no revocation", () => {
    put("bundles/other.example.pem", other.rootPem);
    files.start();
    put("bundles/other.example.pem", "");
    second();
    expect(federated()).toBe(other.rootPem);
    expect(problems.at(-1)).toEqual([{ file: "bundles/other.example.pem", reason: "holds no certificate" }]);
  });

  it.each(["pem", "json"])("a bundle of our own domain as .%s is not used, and named", (extension) => {
    put(`bundles/${TRUST_DOMAIN}.${extension}`, extension === "pem" ? other.rootPem : document(1));
    files.start();
    expect(files.material?.bundles).toEqual([{ trustDomain: TRUST_DOMAIN, pem: ca.rootPem }]);
    expect(problems).toMatchObject([[{ file: `bundles/${TRUST_DOMAIN}.${extension}`, reason: expect.stringContaining("our own trust domain") as unknown }]]);
  });
});

function put(file: string, content: string | Buffer): void {
  writeFileSync(join(directory, file), content);
}
