import { X509Certificate } from "node:crypto";

import { describe, expect, it } from "vitest";

import { BadSubjectAlternativeName, readCertificate } from "../../../src/identity/certificate-reader.ts";
import { DerReader, MalformedDer } from "../../../src/identity/der-reader.ts";
import type { CertificateRequest } from "../../../src/identity/development-ca.ts";
import { idOf, newCa } from "./test-mesh.ts";

function leaf(request: CertificateRequest = {}): Buffer {
  return new X509Certificate(newCa().issue(idOf("a"), request).certificateChainPem).raw;
}

/** Replaces the one place where `from` stands by `to`, of the same length. */
function patch(der: Buffer, from: string, to: string): Buffer {
  const hex = der.toString("hex");
  expect(hex.split(from)).toHaveLength(2);
  return Buffer.from(hex.replace(from, to), "hex");
}

describe("readCertificate", () => {
  // Symptom: a certificate whose names OpenSSL threw away was read here with its URI. Cause: a name of a kind that
  // does not exist was skipped. Fix: it refuses the certificate.
  it("refuses names of a kind that does not exist, and broken ones beside good ones", () => {
    const der = leaf({ dnsNames: ["abc.example"] });
    const name = Buffer.from("abc.example").toString("hex");
    for (const tag of ["00", "01", "a3", "a4", "a0", "89"]) {
      expect(() => readCertificate(patch(der, `820b${name}`, `${tag}0b${name}`)), tag).toThrow(MalformedDer);
    }
    expect(() => readCertificate(patch(der, `820b${name}`, `000b${name}`))).toThrow(BadSubjectAlternativeName);
  });

  // Symptom: keyUsage bits behind the end of the bit string counted here and not in OpenSSL.
  it("refuses key usage with bits set behind its end", () => {
    expect(readCertificate(leaf({ keyUsage: ["digitalSignature", "keyCertSign"] })).keyUsage).toBe(0b100001);
    expect(() => readCertificate(patch(leaf({ keyUsage: ["digitalSignature", "keyCertSign"] }), "03020284", "03020484"))).toThrow("keyUsage is not DER");
  });

  it("refuses an extension that stands there twice", () => {
    const der = leaf();
    expect(() => readCertificate(patch(der, "0603551d25", "0603551d0f"))).toThrow("twice");
  });

  it.each([
    ["bytes behind the certificate", (der: Buffer) => Buffer.concat([der, Buffer.from([0])])],
    ["a length of more bytes than needed", (der: Buffer) => Buffer.concat([Buffer.from([0x30, 0x83, 0]), der.subarray(2)])],
    ["an indefinite length", (der: Buffer) => Buffer.concat([Buffer.from([0x30, 0x80]), der.subarray(4)])],
    ["an end too early", (der: Buffer) => der.subarray(0, -1)],
    ["nothing", () => Buffer.alloc(0)],
  ])("refuses %s", (_, spoil) => {
    expect(() => readCertificate(spoil(leaf()))).toThrow(MalformedDer);
  });
});

describe("DerReader", () => {
  it("reads object identifiers", () => {
    const read = (hex: string): string => new DerReader(Buffer.from(hex, "hex")).oid();
    expect(read("06092a864886f70d01010b")).toBe("1.2.840.113549.1.1.11");
    expect(read("0603551d11")).toBe("2.5.29.17");
    expect(read("06032b6570")).toBe("1.3.101.112");
    expect(() => read("060286")).toThrow(MalformedDer);
    expect(() => read("06028680")).toThrow(MalformedDer);
    expect(() => read("0600")).toThrow(MalformedDer);
  });

  it("reads small integers in their shortest form only", () => {
    const read = (hex: string): number => new DerReader(Buffer.from(hex, "hex")).smallInteger();
    expect([read("020100"), read("02017f"), read("02020080")]).toEqual([0, 127, 128]);
    for (const hex of ["0200", "020180", "0202007f", "0205000000000a", "030100"]) expect(() => read(hex), hex).toThrow(MalformedDer);
  });
});
