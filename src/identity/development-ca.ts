import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";

import forge from "node-forge";

import type { Clock } from "../core/clock.ts";

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;

/** A certificate chain (leaf first) with its key and the root that vouches for it, all PEM. */
export interface IssuedCertificate {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly rootPem: string;
}

/** What to write into a certificate. Every field has the value a good SVID has; tests bend them to make bad ones. */
export interface CertificateRequest {
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** Organisation in the subject; empty makes an empty subject and so a critical subjectAltName (RFC 5280 4.2.1.6). */
  readonly organization?: string;
  readonly isCa?: boolean;
  /** Bits of keyUsage by name; null leaves the extension out. */
  readonly keyUsage?: readonly ("digitalSignature" | "keyEncipherment" | "keyCertSign" | "cRLSign")[] | null;
  readonly isKeyUsageCritical?: boolean;
  /** Object identifiers; null leaves the extension out. */
  readonly extendedKeyUsage?: readonly string[] | null;
  /** Validity relative to now; may be negative. */
  readonly notBeforeMs?: number;
  readonly lifetimeMs?: number;
  /** Hosts a CA may name in URIs, as a name constraint. */
  readonly permittedUriHosts?: readonly string[];
  /** An extension nobody knows. */
  readonly unknownCriticalOid?: string;
  /** A key pair to certify instead of a new P-256 one, PEM. */
  readonly privateKeyPem?: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of two pods differ a little; a certificate is good from this long before it was made. */
const BACKDATE_MS = 5 * 60 * 1000;
const ROOT_LIFETIME_MS = 3650 * DAY_MS;
const LEAF_LIFETIME_MS = 90 * DAY_MS;
const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const KEY_USAGE_BITS = { digitalSignature: 0x80, keyEncipherment: 0x20, keyCertSign: 0x04, cRLSign: 0x02 } as const;
const SERVER_AND_CLIENT = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/**
 * A certificate authority for laptops, demonstrations and tests: ECDSA P-256, X.509-SVID leaves as Istio's CA makes
 * them. It keeps its key in a file like any other; production has a real CA. Nothing on the data path imports it.
 */
export class DevelopmentCa {
  readonly trustDomain: string;
  /** Certificate of this CA, and its key. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** The root above it; the same certificate for a root CA. */
  readonly rootPem: string;
  /** Certificates between a leaf and the root, PEM. */
  readonly #intermediatesPem: string;
  readonly #key: KeyObject;
  readonly #clock: Clock;

  private constructor(trustDomain: string, own: IssuedCertificate, intermediatesPem: string, clock: Clock) {
    this.trustDomain = trustDomain;
    this.certificatePem = own.certificateChainPem;
    this.privateKeyPem = own.privateKeyPem;
    this.rootPem = own.rootPem;
    this.#intermediatesPem = intermediatesPem;
    this.#key = createPrivateKey(own.privateKeyPem);
    this.#clock = clock;
  }

  /** Makes a new root. */
  static create(trustDomain: string, clock: Clock, request: CertificateRequest = {}): DevelopmentCa {
    const key = request.privateKeyPem === undefined ? newKey() : createPrivateKey(request.privateKeyPem);
    const subject = distinguishedName(request.organization ?? trustDomain);
    const wanted = { lifetimeMs: ROOT_LIFETIME_MS, ...asCa(`spiffe://${trustDomain}`), ...request };
    const certificate = makeCertificate(wanted, { key, subject, issuer: subject, issuerKey: key, nowMs: clock.wallMs() });
    return new DevelopmentCa(trustDomain, { certificateChainPem: certificate, privateKeyPem: keyPem(key), rootPem: certificate }, "", clock);
  }

  /** Takes up a root made before. @throws when the key is not the certificate's. */
  static load(trustDomain: string, certificatePem: string, privateKeyPem: string, clock: Clock): DevelopmentCa {
    if (!new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(privateKeyPem))) {
      throw new Error("the root key does not belong to the root certificate");
    }
    return new DevelopmentCa(trustDomain, { certificateChainPem: certificatePem, privateKeyPem, rootPem: certificatePem }, "", clock);
  }

  /** Issues a workload certificate for `spiffeId`, bent by `request`. */
  issue(spiffeId: string, request: CertificateRequest = {}): IssuedCertificate {
    return this.#issue({ uris: [spiffeId], lifetimeMs: LEAF_LIFETIME_MS, ...request }, distinguishedName(request.organization ?? ""));
  }

  /** Makes a CA below this one. */
  intermediate(name: string, request: CertificateRequest = {}): DevelopmentCa {
    const issued = this.#issue({ lifetimeMs: ROOT_LIFETIME_MS, ...asCa(`spiffe://${this.trustDomain}`), ...request }, distinguishedName(name));
    return new DevelopmentCa(this.trustDomain, issued, issued.certificateChainPem, this.#clock);
  }

  #issue(request: CertificateRequest, subject: Asn1): IssuedCertificate {
    const key = request.privateKeyPem === undefined ? newKey() : createPrivateKey(request.privateKeyPem);
    const issuer = subjectOf(this.certificatePem);
    const certificate = makeCertificate(request, { key, subject, issuer, issuerKey: this.#key, nowMs: this.#clock.wallMs() });
    return { certificateChainPem: certificate + this.#intermediatesPem, privateKeyPem: keyPem(key), rootPem: this.rootPem };
  }
}

function asCa(uri: string): CertificateRequest {
  return { uris: [uri], isCa: true, keyUsage: ["keyCertSign", "cRLSign"], extendedKeyUsage: null };
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

function keyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" });
}

interface Signing {
  readonly key: KeyObject;
  readonly subject: Asn1;
  readonly issuer: Asn1;
  readonly issuerKey: KeyObject;
  readonly nowMs: number;
}

/** Lays out a TBSCertificate (RFC 5280 section 4.1) with forge's ASN.1 writer and signs it with node:crypto. */
function makeCertificate(request: CertificateRequest, { key, subject, issuer, issuerKey, nowMs }: Signing): string {
  const notBeforeMs = nowMs + (request.notBeforeMs ?? -BACKDATE_MS);
  const notAfterMs = nowMs + (request.lifetimeMs ?? LEAF_LIFETIME_MS);
  const algorithm = sequence(oid(ECDSA_WITH_SHA256));
  const body = sequence(
    constructed(0, integer("\x02")),
    integer(`\x01${randomBytes(15).toString("latin1")}`),
    algorithm,
    issuer,
    sequence(time(notBeforeMs), time(notAfterMs)),
    subject,
    asn1.fromDer(createPublicKey(key).export({ type: "spki", format: "der" }).toString("latin1")),
    constructed(3, sequence(...extensions(request, subject))),
  );
  const signature = sign("sha256", Buffer.from(asn1.toDer(body).getBytes(), "latin1"), issuerKey);
  const der = asn1.toDer(sequence(body, algorithm, primitive(asn1.Type.BITSTRING, `\0${signature.toString("latin1")}`)));
  const lines = Buffer.from(der.getBytes(), "latin1").toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function extensions(request: CertificateRequest, subject: Asn1): Asn1[] {
  const list: Asn1[] = [extension("2.5.29.19", true, request.isCa === true ? sequence(primitive(asn1.Type.BOOLEAN, "\xff")) : sequence())];
  const usage = request.keyUsage === undefined ? (["digitalSignature"] as const) : request.keyUsage;
  if (usage !== null) {
    const bits = usage.reduce((sum, name) => sum | KEY_USAGE_BITS[name], 0);
    const unused = Math.clz32(bits & -bits) ^ 31;
    list.push(extension("2.5.29.15", request.isKeyUsageCritical ?? true, primitive(asn1.Type.BITSTRING, String.fromCharCode(unused, bits))));
  }
  const extended = request.extendedKeyUsage === undefined ? SERVER_AND_CLIENT : request.extendedKeyUsage;
  if (extended !== null) list.push(extension("2.5.29.37", false, sequence(...extended.map(oid))));
  const names = [...(request.uris ?? []).map((uri) => generalName(6, uri)), ...(request.dnsNames ?? []).map((name) => generalName(2, name))];
  const isSubjectEmpty = Array.isArray(subject.value) && subject.value.length === 0;
  if (names.length > 0) list.push(extension("2.5.29.17", isSubjectEmpty, sequence(...names)));
  const hosts = request.permittedUriHosts ?? [];
  if (hosts.length > 0) {
    list.push(extension("2.5.29.30", true, sequence(constructed(0, ...hosts.map((host) => sequence(generalName(6, host)))))));
  }
  if (request.unknownCriticalOid !== undefined) list.push(extension(request.unknownCriticalOid, true, sequence()));
  return list;
}

function extension(id: string, isCritical: boolean, value: Asn1): Asn1 {
  const content = primitive(asn1.Type.OCTETSTRING, asn1.toDer(value).getBytes());
  return isCritical ? sequence(oid(id), primitive(asn1.Type.BOOLEAN, "\xff"), content) : sequence(oid(id), content);
}

function distinguishedName(organization: string): Asn1 {
  if (organization === "") return sequence();
  const value = primitive(asn1.Type.UTF8, Buffer.from(organization, "utf8").toString("latin1"));
  return sequence(asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, [sequence(oid("2.5.4.10"), value)]));
}

/** The subject of a certificate as it stands there, byte for byte, to be the issuer of another. */
function subjectOf(certificatePem: string): Asn1 {
  const certificate = asn1.fromDer(new X509Certificate(certificatePem).raw.toString("latin1"));
  const [body] = certificate.value as Asn1[];
  const subject = (body?.value as Asn1[] | undefined)?.[5];
  if (subject === undefined) throw new Error("the CA certificate has no subject");
  return subject;
}

/** UTCTime before 2050 and GeneralizedTime from then on, as RFC 5280 section 4.1.2.5 asks. */
function time(timeMs: number): Asn1 {
  const date = new Date(timeMs);
  const digits = `${date.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050 ? primitive(asn1.Type.UTCTIME, digits.slice(2)) : primitive(asn1.Type.GENERALIZEDTIME, digits);
}

function sequence(...items: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, items);
}

function constructed(tag: number, ...items: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, true, items);
}

function generalName(tag: number, text: string): Asn1 {
  return asn1.create(asn1.Class.CONTEXT_SPECIFIC, tag, false, text);
}

function primitive(type: forge.asn1.Type, bytes: string): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, type, false, bytes);
}

function integer(bytes: string): Asn1 {
  return primitive(asn1.Type.INTEGER, bytes);
}

function oid(id: string): Asn1 {
  return primitive(asn1.Type.OID, asn1.oidToDer(id).getBytes());
}
