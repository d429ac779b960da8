import { beforeEach, describe, expect, it } from "vitest";
import type { InboundPortSpec, InboundSpec, MtlsMode } from "../../../src/config/snapshot.ts";
import { InboundAdmission } from "../../../src/connection/inbound-admission.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";

const port = (number: number, mtls: MtlsMode): InboundPortSpec => ({ port: number, bind: null, protocol: "auto", mtls, cluster: "c", service: null });
const spec = (own: MtlsMode, others: MtlsMode): InboundSpec => ({ ports: [port(80, own)], passthrough: port(0, others), authorization: { deny: [], allow: [] } });
const facts = (number: number, spiffeId: string | null = null): ConnectionFacts => ({
  remote: { address: "10.0.0.9", port: 1 }, local: { address: "10.0.0.1", port: number }, isCaptured: true,
  tls: spiffeId === null ? null : { peer: { spiffeId, hash: "", subject: "", dnsNames: [], expiresAtMs: 0 }, ownSpiffeId: "", serverName: null, alpn: null },
});

let accepted: string[];
let admission: InboundAdmission;
const reason = (of: ConnectionFacts): string | null => admission.dismissal(of)?.reason ?? null;

beforeEach(() => {
  accepted = ["cluster.local"];
  admission = new InboundAdmission((trustDomain) => accepted.includes(trustDomain));
});

describe("whether an open connection may go on", () => {
  it.each<readonly [own: MtlsMode, others: MtlsMode]>([["STRICT", "PERMISSIVE"], ["PERMISSIVE", "STRICT"], ["DISABLE", "DISABLE"]])("plaintext: by the mode of its port (%s, others %s)", (own, others) => {
    admission.apply(spec(own, others), []);
    const expected = (mode: MtlsMode) => (mode === "STRICT" ? "plaintext_on_strict_port" : null);
    expect([reason(facts(80)), reason(facts(81))]).toEqual([expected(own), expected(others)]);
  });

  it("TLS whose peer was not asked who it is counts as plaintext", () => {
    admission.apply(spec("STRICT", "STRICT"), []);
    expect(reason({ ...facts(80), tls: { peer: null, ownSpiffeId: "", serverName: null, alpn: null } })).toBe("plaintext_on_strict_port");
  });

  it("plaintext to a port for which a Sidecar has TLS by now; whoever came by TLS stays", () => {
    const own = { ...port(80, "DISABLE"), tls: { mode: "SIMPLE", certificatePath: "", privateKeyPath: "", caCertificatesPath: null, leastVersion: "TLSv1.2", filesDigest: "" } } as const;
    const before = spec("DISABLE", "DISABLE");
    admission.apply(before, []);
    expect(admission.apply({ ...before, ports: [own] }, [])).toBe(true);
    expect([reason(facts(80)), reason(facts(81))]).toEqual(["plaintext_on_tls_port", null]);
    const secured: ConnectionFacts = { ...facts(80), tls: { peer: null, ownSpiffeId: "", serverName: null, alpn: null } };
    expect(reason(secured)).toBeNull();
    admission.apply(spec("STRICT", "DISABLE"), []);
    expect(admission.dismissal(secured)?.message).toBe("TLS that is not the mesh's to port 80, where PeerAuthentication is STRICT");
  });

  it.each(["STRICT", "PERMISSIVE", "DISABLE"] as const)("mutual TLS: by the peer's trust domain, whatever the mode (%s)", (mode) => {
    admission.apply(spec(mode, mode), []);
    const former = facts(80, "spiffe://old.example/ns/default/sa/a");
    expect([reason(former), reason(facts(80, "spiffe://cluster.local/ns/default/sa/a"))]).toEqual(["tls_peer_wrong_trust_domain", null]);
    accepted.push("old.example");
    expect(reason(former)).toBeNull();
  });
});

it("asks for those that are open to be asked again only when something else is demanded", () => {
  expect(admission.apply(spec("PERMISSIVE", "PERMISSIVE"), ["a"])).toBe(true);
  expect(admission.apply(spec("PERMISSIVE", "PERMISSIVE"), ["a"])).toBe(false);
  expect(admission.apply(spec("STRICT", "PERMISSIVE"), ["a"])).toBe(true);
  expect(admission.apply(spec("STRICT", "STRICT"), ["a"])).toBe(true);
  expect(admission.apply(spec("STRICT", "STRICT"), ["a", "b"])).toBe(true);
});
