import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { certs } from "../../../src/cli/certs.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { loadMaterial } from "../../../src/identity/load-material.ts";

let directory: string;
let output: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "outrider-certs-"));
  output = "";
  for (const stream of [process.stdout, process.stderr]) {
    vi.spyOn(stream, "write").mockImplementation((text) => {
      output += String(text);
      return true;
    });
  }
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

function read(file: string): string {
  return readFileSync(join(directory, file), "latin1");
}

function identity(folder: string): ReturnType<typeof loadMaterial> {
  const texts = { certificateChain: read(`${folder}/cert-chain.pem`), privateKey: read(`${folder}/key.pem`), roots: read(`${folder}/root-cert.pem`), federated: [] };
  return loadMaterial(texts, 1, systemClock.wallMs());
}

describe("outrider certs", () => {
  it("writes identities a proxy takes, with an empty subject and so a critical name, keys for their owner alone", async () => {
    expect(await certs(["--out", directory, "--trust-domain", "demo.example", "ns/default/sa/reviews", "ns/shop/sa/cart"])).toBe(0);
    expect(identity("default.reviews")).toMatchObject({ spiffeId: "spiffe://demo.example/ns/default/sa/reviews" });
    expect(identity("shop.cart")).toMatchObject({ spiffeId: "spiffe://demo.example/ns/shop/sa/cart" });
    const leaf = new X509Certificate(read("shop.cart/cert-chain.pem"));
    expect(leaf.subject).toBeUndefined();
    expect(leaf.subjectAltName).toBe("URI:spiffe://demo.example/ns/shop/sa/cart");
    expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    for (const file of ["root-key.pem", "default.reviews/key.pem"]) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
    expect(read("default.reviews/root-cert.pem")).toBe(read("root-cert.pem"));
  });

  it("takes the CA up again and renews", async () => {
    await certs(["--out", directory, "ns/default/sa/a"]);
    const [root, chain] = [read("root-cert.pem"), read("default.a/cert-chain.pem")];
    expect(await certs(["--out", directory, "--leaf-lifetime", "1h", "ns/default/sa/a", "ns/default/sa/b"])).toBe(0);
    expect(read("root-cert.pem")).toBe(root);
    expect(read("default.a/cert-chain.pem")).not.toBe(chain);
    const leaf = new X509Certificate(read("default.a/cert-chain.pem"));
    expect(leaf.validToDate.getTime()).toBeLessThan(systemClock.wallMs() + 3_700_000);
    expect(identity("default.b")).toHaveProperty("spiffeId");
  });

  it.each([
    [["ns/a/sa/b"], "--out"],
    [["--out", "x"], "at least one workload"],
    [["--out", "x", "ns/a/sa/../b"], "is not a workload"],
    [["--out", "x", "reviews"], "is not a workload"],
    [["--out", "x", "--trust-domain", "Demo", "ns/a/sa/b"], "--trust-domain Demo"],
    [["--out", "x", "--leaf-lifetime", "3y", "ns/a/sa/b"], "--leaf-lifetime 3y"],
    [["--out", "x", "--frobnicate", "ns/a/sa/b"], "--frobnicate"],
  ])("refuses %j with exit code 2 and a line that says why", async (args, message) => {
    expect(await certs(args)).toBe(2);
    expect(output).toContain(message);
    expect(output.trim().split("\n")).toHaveLength(1);
  });

  it("prints its help", async () => {
    expect(await certs(["--help"])).toBe(0);
    for (const flag of ["--out", "--trust-domain", "--leaf-lifetime", "--root-lifetime"]) expect(output).toContain(flag);
  });
});
