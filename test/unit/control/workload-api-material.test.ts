import { generateKeyPairSync } from "node:crypto";

import { describe, expect, it } from "vitest";

import { systemClock } from "../../../src/core/clock.ts";
import { type LoadedIdentity, type MaterialContext, materialOfMessage } from "../../../src/control/workload-api-material.ts";
import { readWorkloadApiMessage, type SvidMessage, type WorkloadApiMessage } from "../../../src/control/workload-api-message.ts";
import { DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { certificatesDer, encodeMessage, type MessageToSend, type SvidToSend } from "../../integration/workload-api-server.ts";
import { idOf, newCa, TRUST_DOMAIN } from "../identity/test-mesh.ts";

const ca = newCa();
const foreignCa = newCa("example.org");
const REVIEWS = idOf("reviews");
const issued = ca.issue(REVIEWS);
const svid: SvidToSend = { spiffeId: REVIEWS, issued };

const messageOf = (message: Partial<MessageToSend>): WorkloadApiMessage => readWorkloadApiMessage(encodeMessage({ svids: [svid], ...message }));
const load = (message: WorkloadApiMessage, context: Partial<MaterialContext> = {}): LoadedIdentity | string =>
  materialOfMessage(message, { hint: null, generation: 7, nowMs: systemClock.wallMs(), federated: [], ...context });

function good(message: WorkloadApiMessage, context: Partial<MaterialContext> = {}): LoadedIdentity {
  const loaded = load(message, context);
  if (typeof loaded === "string") throw new Error(loaded);
  return loaded;
}

/** The message with one field of its only SVID replaced. */
function bent(change: Partial<SvidMessage>): WorkloadApiMessage {
  const message = messageOf({});
  return { ...message, svids: message.svids.map((one) => ({ ...one, ...change })) };
}

describe("materialOfMessage", () => {
  it("gives what files with the same content would give", () => {
    const { material, problems } = good(messageOf({}));
    expect(problems).toEqual([]);
    expect(material).toMatchObject({ generation: 7, spiffeId: REVIEWS, trustDomain: TRUST_DOMAIN, certificateChainPem: issued.certificateChainPem });
    expect(material.privateKeyPem.trim()).toBe(issued.privateKeyPem.trim());
    expect(material.bundles).toEqual([{ trustDomain: TRUST_DOMAIN, pem: ca.rootPem }]);
  });

  it("takes a chain with intermediates, and a bundle of several roots", () => {
    const below = ca.intermediate("below").issue(REVIEWS);
    const bundle = ca.rootPem + DevelopmentCa.create(TRUST_DOMAIN, systemClock).rootPem;
    const { material } = good(messageOf({ svids: [{ spiffeId: REVIEWS, issued: below, bundle }] }));
    expect(material.certificateChainPem.match(/BEGIN/g)).toHaveLength(2);
    expect(material.bundles[0]?.pem.match(/BEGIN/g)).toHaveLength(2);
  });

  it("uses the first SVID, which is the default identity, or the first with the hint", () => {
    const named = (name: string, hint: string): SvidToSend => ({ spiffeId: idOf(name), issued: ca.issue(idOf(name)), hint });
    const message = messageOf({ svids: [named("one", "internal"), named("two", "external"), named("three", "external")] });
    expect(good(message).material.spiffeId).toBe(idOf("one"));
    expect(good(message, { hint: "external" }).material.spiffeId).toBe(idOf("two"));
    expect(load(message, { hint: "other" })).toBe('no SVID has the hint "other"; the hints are "internal", "external", "external"');
  });

  it.each<[string, WorkloadApiMessage, RegExp]>([
    ["no SVID", messageOf({ svids: [] }), /without any SVID/],
    ["no ID", bent({ spiffeId: "" }), /x509_svid is for spiffe/],
    ["the ID of somebody else", bent({ spiffeId: idOf("ratings") }), new RegExp(`x509_svid is for ${REVIEWS}`)],
    ["no certificate", bent({ certificates: Buffer.alloc(0) }), /x509_svid is missing/],
    ["no key", bent({ privateKey: Buffer.alloc(0) }), /x509_svid_key is missing/],
    ["no bundle", bent({ bundle: Buffer.alloc(0) }), /bundle is missing/],
    ["a certificate cut short", bent({ certificates: certificatesDer(issued.certificateChainPem).subarray(0, -1) }), /x509_svid: certificate 1 cannot be read/],
    ["something after the certificate", bent({ certificates: Buffer.concat([certificatesDer(issued.certificateChainPem), Buffer.from([0x30, 0])]) }), /x509_svid: certificate 2 cannot be read/],
    ["PEM where DER should be", bent({ certificates: Buffer.from(issued.certificateChainPem) }), /x509_svid: certificate 1 cannot be read/],
    ["a key that is none", bent({ privateKey: Buffer.from("key") }), /x509_svid_key: is not an unencrypted private key in PKCS#8/],
    ["another's key", bent({ privateKey: newKey() }), /x509_svid_key: does not belong to the first certificate of x509_svid/],
    ["an encrypted key", bent({ privateKey: newKey("secret") }), /x509_svid_key: is not an unencrypted private key/],
    // Node looks for PEM in what it is given, wherever that is: what it finds is not what the agent sent.
    ["something with a certificate hidden in it", bent({ bundle: octets(Buffer.from(`\n${ca.rootPem}`)) }), /bundle: certificate 1 cannot be read/],
    ["a bundle of garbage", bent({ bundle: Buffer.from("roots") }), /bundle: certificate 1 cannot be read/],
    ["a bundle that holds a leaf", bent({ bundle: certificatesDer(issued.certificateChainPem) }), /bundle: certificate 1 is not a CA/],
    ["roots that vouch for somebody else", bent({ bundle: certificatesDer(newCa().rootPem) }), /would be refused by every peer/],
    ["an expired certificate", messageOf({ svids: [{ spiffeId: REVIEWS, issued: ca.issue(REVIEWS, { notBeforeMs: -2000, lifetimeMs: -1000 }) }] }), /expired/],
    ["a CA in place of a leaf", messageOf({ svids: [{ spiffeId: REVIEWS, issued: ca.issue(REVIEWS, { isCa: true }) }] }), /not an X.509-SVID: tls_peer_ca_leaf/],
    ["a chain that is too long", messageOf({ svids: [{ spiffeId: REVIEWS, issued: { ...issued, certificateChainPem: issued.certificateChainPem.repeat(7) } }] }), /at most/],
  ])("refuses %s", (_what, message, named) => {
    const problem = load(message);
    expect(problem).toMatch(named);
    expect(problem).not.toContain("BEGIN");
  });

  it("has federated bundles by trust domain, and never takes one for its own domain, which it says where that is another", () => {
    const { material, problems } = good(messageOf({ federated: { "example.org": foreignCa.rootPem, [TRUST_DOMAIN]: foreignCa.rootPem } }));
    expect(material.bundles).toEqual([{ trustDomain: TRUST_DOMAIN, pem: ca.rootPem }, { trustDomain: "example.org", pem: foreignCa.rootPem }]);
    expect(problems).toEqual([`federated bundle spiffe://${TRUST_DOMAIN}: is for our own trust domain, whose roots come with the SVID; it is not used`]);
    expect(good(messageOf({ federated: { [TRUST_DOMAIN]: ca.rootPem } })).problems).toEqual([]);
  });

  it("takes at most 256 roots of another domain, and renews itself all the same", () => {
    const roots = certificatesDer(foreignCa.rootPem);
    const of = (count: number): LoadedIdentity => good({ ...messageOf({}), federated: new Map([["spiffe://example.org", Buffer.concat(Array.from({ length: count }, () => roots))]]) });
    expect(of(256).problems).toEqual([]);
    expect(of(257)).toMatchObject({ material: { spiffeId: REVIEWS }, problems: ["federated bundle spiffe://example.org: holds 257 certificates, at most 256 are taken"] });
  });

  it("drops a federated bundle that is no longer sent, and believes nobody of a domain whose bundle is empty", () => {
    const inForce = [{ trustDomain: "example.org", pem: foreignCa.rootPem }];
    expect(good(messageOf({}), { federated: inForce }).material.bundles).toHaveLength(1);
    expect(good(messageOf({ federated: { "example.org": "" } }), { federated: inForce }).material.bundles[1]).toEqual({ trustDomain: "example.org", pem: "" });
  });

  it("keeps the last good bundle of a domain that sends a broken one, says so, and renews itself", () => {
    const inForce = [{ trustDomain: "example.org", pem: foreignCa.rootPem }];
    const leaf = foreignCa.issue(idOf("x", "example.org")).certificateChainPem;
    const message = messageOf({ federated: { "example.org": leaf, "other.org": leaf, "third.org": foreignCa.rootPem } });
    const { material, problems } = good(message, { federated: inForce });
    // Of one that was never good nobody is believed: were it an alias of ours, our own roots would vouch for it.
    const [, kept, unknown, third] = material.bundles;
    expect([material.bundles.length, kept?.pem, unknown, third?.trustDomain]).toEqual([4, foreignCa.rootPem, { trustDomain: "other.org", pem: "" }, "third.org"]);
    expect(problems).toEqual([expect.stringMatching(/^federated bundle spiffe:\/\/example\.org: .*not a CA/), expect.stringMatching(/other\.org/)]);
  });

  it.each(["example.org", "spiffe://example.org/path", "spiffe://EXAMPLE.org", "spiffe://", "", "x".repeat(5000)])("names a federated bundle under %j", (id) => {
    const message = { ...messageOf({}), federated: new Map([[id, certificatesDer(foreignCa.rootPem)]]) };
    const { material, problems } = good(message);
    expect(material.bundles).toHaveLength(1);
    expect(problems).toEqual([expect.stringContaining("not the SPIFFE ID of a trust domain")]);
    expect(problems.join().length).toBeLessThan(500);
  });
});

/** An OCTET STRING in DER. */
function octets(content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x04, 0x82, content.length >> 8, content.length & 0xff]), content]);
}

function newKey(passphrase?: string): Buffer {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ format: "der", type: "pkcs8", ...(passphrase === undefined ? {} : { cipher: "aes-256-cbc", passphrase }) });
}
