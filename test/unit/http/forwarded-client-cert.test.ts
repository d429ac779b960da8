import { describe, expect, it } from "vitest";

import { ForwardedClientCert } from "../../../src/http/forwarded-client-cert.ts";
import type { ForwardClientCertMode } from "../../../src/http/forwarded-client-cert.ts";
import type { PeerCertificate, TlsFacts } from "../../../src/message/connection-facts.ts";
import { HeaderList } from "../../../src/message/header-list.ts";

const peer: PeerCertificate = { spiffeId: "spiffe://cluster.local/ns/a/sa/caller", hash: "ab".repeat(32), subject: "", dnsNames: [], expiresAtMs: 0 };
const ELEMENT = `By=spiffe://cluster.local/ns/a/sa/us;Hash=${"ab".repeat(32)};Subject="";URI=spiffe://cluster.local/ns/a/sa/caller`;

function tls(over: Partial<PeerCertificate> | null = {}): TlsFacts {
  return { ownSpiffeId: "spiffe://cluster.local/ns/a/sa/us", serverName: null, alpn: null, peer: over === null ? null : { ...peer, ...over } };
}

function sent(mode: ForwardClientCertMode, facts: TlsFacts | null, ...values: string[]): string[] {
  const headers = HeaderList.of(["Host", "a"], ...values.map((value): [string, string] => ["x-forwarded-client-cert", value]));
  new ForwardedClientCert(facts, mode).apply(headers);
  return headers.all("x-forwarded-client-cert");
}

describe("ForwardedClientCert", () => {
  it("tells who the peer is, behind what the peer itself was told", () => {
    expect(sent("APPEND_FORWARD", tls())).toEqual([ELEMENT]);
    expect(sent("APPEND_FORWARD", tls(), "By=x;URI=y")).toEqual([`By=x;URI=y,${ELEMENT}`]);
    expect(sent("APPEND_FORWARD", tls(), "By=x", "By=z")).toEqual([`By=x,By=z,${ELEMENT}`]);
  });

  it("is removed on plaintext, where nobody proved anything, and where no certificate was asked for", () => {
    for (const mode of ["APPEND_FORWARD", "SANITIZE_SET", "FORWARD_ONLY", "SANITIZE"] as const) {
      expect(sent(mode, null, "URI=spiffe://cluster.local/ns/a/sa/admin")).toEqual([]);
      expect(sent(mode, tls(null), "URI=spiffe://cluster.local/ns/a/sa/admin")).toEqual([]);
    }
    expect(sent("ALWAYS_FORWARD_ONLY", null, "URI=x")).toEqual(["URI=x"]);
  });

  it("is removed, passed on or replaced as the mode says", () => {
    expect(sent("SANITIZE", tls(), "By=x")).toEqual([]);
    expect(sent("FORWARD_ONLY", tls(), "By=x")).toEqual(["By=x"]);
    expect(sent("SANITIZE_SET", tls(), "By=x", "By=z")).toEqual([ELEMENT]);
  });

  // A certificate's names were put into the header as they came, and could end the header.
  it("lets no name end its value early (CVE-2023-27493)", () => {
    const subject = "CN=a\\22;URI\\3Dspiffe://cluster.local/ns/a/sa/admin";
    expect(sent("APPEND_FORWARD", tls({ subject }))[0]).toContain(`Subject="${subject}";URI=spiffe://cluster.local/ns/a/sa/caller`);
    const [header = ""] = sent("APPEND_FORWARD", tls({ dnsNames: ["a.example", "b;URI=x", 'c",By=y', "d\r\nx: 1", "e\\"] }));
    expect(header.endsWith(';DNS=a.example;DNS="b;URI=x";DNS="c%22,By=y";DNS=d%0D%0Ax:%201;DNS=e%5C')).toBe(true);
  });
});
