import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { OriginatedTlsSpec } from "../../../src/config/snapshot-cluster.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { PeerRefused } from "../../../src/identity/peer-refused.ts";
import { OriginatedContexts } from "../../../src/upstream/originated-contexts.ts";

/* Files become TLS contexts: once for all who name the same, and never half. */

const SPEC: OriginatedTlsSpec = {
  mode: "MUTUAL", serverName: null, subjectAltNames: [], fallbackName: "api.example.com", caCertificatesPath: null, crlPath: null,
  clientCertificatePath: null, privateKeyPath: null, filesDigest: "", insecureSkipVerify: false,
};

describe("contexts of originated TLS", () => {
  const ca = DevelopmentCa.create("outside.test", systemClock);
  let directory = "";
  let contexts: OriginatedContexts;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "outrider-contexts-"));
    contexts = new OriginatedContexts();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const write = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const reasonOf = (spec: OriginatedTlsSpec): string => {
    const made = contexts.of(spec, "127.0.0.1:443");
    return made instanceof PeerRefused ? `${made.reason}: ${made.message}` : "made";
  };

  it("one context for all specs with the same files, another once a digest has changed", () => {
    const caCertificatesPath = write("ca.pem", ca.rootPem);
    const first = contexts.of({ ...SPEC, caCertificatesPath }, "a");
    expect(first).not.toBeInstanceOf(PeerRefused);
    expect(contexts.of({ ...SPEC, caCertificatesPath, serverName: "other.test", insecureSkipVerify: true }, "b")).toBe(first);
    expect(contexts.of({ ...SPEC, caCertificatesPath, filesDigest: "2" }, "a")).not.toBe(first);
  });

  it("the system's authorities where none are named", () => {
    expect(reasonOf(SPEC)).toBe("made");
  });

  it("certificate and key that do not belong together are refused, and tried again when they do", () => {
    const [one, two] = [ca.issue("spiffe://outside.test/ns/a/sa/one"), ca.issue("spiffe://outside.test/ns/a/sa/two")];
    const spec = { ...SPEC, clientCertificatePath: write("cert.pem", one.certificateChainPem), privateKeyPath: write("key.pem", two.privateKeyPem) };
    expect(reasonOf(spec)).toMatch(/^tls_no_identity: cannot speak TLS to 127\.0\.0\.1:443: .*key values mismatch/);
    write("key.pem", one.privateKeyPem);
    expect(reasonOf(spec)).toBe("made");
  });

  it.each([
    ["caCertificatesPath", null, "caCertificates .*missing.pem does not exist"],
    ["caCertificatesPath", "no certificate", "caCertificates .*file.pem holds no PEM"],
    ["crlPath", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", ""],
    ["privateKeyPath", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", ""],
  ] as const)("%s with %j is refused by name", (field, text, message) => {
    const path = text === null ? join(directory, "missing.pem") : write("file.pem", text);
    expect(reasonOf({ ...SPEC, [field]: path })).toMatch(new RegExp(`^tls_no_identity: cannot speak TLS to 127\\.0\\.0\\.1:443: ${message}`));
  });
});
