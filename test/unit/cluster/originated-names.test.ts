import { beforeEach, describe, expect, it } from "vitest";

import { OriginatedNames } from "../../../src/cluster/originated-names.ts";
import type { OriginatedTlsSpec } from "../../../src/config/snapshot-cluster.ts";
import type { OriginatedTls } from "../../../src/upstream/transport-tls.ts";

/* One TLS object, and so one set of pools, for everything that is verified alike (spec/04 4.7; CVE-2026-56850 and its like). */

const SPEC: OriginatedTlsSpec = {
  mode: "SIMPLE", serverName: null, subjectAltNames: [], fallbackName: "api.example.com", caCertificatesPath: null, crlPath: null,
  clientCertificatePath: null, privateKeyPath: null, filesDigest: "", insecureSkipVerify: false,
};

describe("the TLS of a cluster that originates it (CVE-2026-56850, CVE-2026-58040, CVE-2026-48934)", () => {
  let forgotten: OriginatedTls[];
  const names = (spec: Partial<OriginatedTlsSpec> = {}): OriginatedNames => new OriginatedNames({ ...SPEC, ...spec }, (tls) => forgotten.push(tls));
  beforeEach(() => {
    forgotten = [];
  });

  it("each host has its own, and always the same", () => {
    const all = names();
    const a = all.of("a.test");
    expect(a).toMatchObject({ serverName: "a.test", expectedNames: ["a.test"] });
    expect(all.of("b.test")).not.toBe(a);
    expect(all.of("a.test")).toBe(a);
    expect(all.of(null)).toMatchObject({ serverName: "api.example.com", expectedNames: ["api.example.com"] });
  });

  it("with an sni all hosts share one", () => {
    const all = names({ serverName: "sni.test" });
    expect(all.dependsOnHost).toBe(false);
    expect(all.of("a.test")).toBe(all.of("b.test"));
    expect(all.of(null)).toMatchObject({ serverName: "sni.test", expectedNames: ["sni.test"] });
  });

  it("subjectAltNames are expected in place of the host, which is still the server name", () => {
    expect(names({ subjectAltNames: ["x.test"] }).of("a.test")).toMatchObject({ serverName: "a.test", expectedNames: ["x.test"] });
  });

  it("an address is no server name, but a certificate may be for it; without any name nothing is expected", () => {
    expect(names().of("10.0.0.1")).toMatchObject({ serverName: null, expectedNames: ["10.0.0.1"] });
    expect(names({ fallbackName: null }).of(null)).toMatchObject({ serverName: null, expectedNames: [] });
  });

  it("an equal spec changes nothing, another forgets all that was verified by the old one", () => {
    const all = names();
    const a = all.of("a.test");
    all.apply({ ...SPEC });
    expect([all.of("a.test") === a, forgotten]).toEqual([true, []]);
    all.apply({ ...SPEC, filesDigest: "another" });
    expect(forgotten).toEqual([a]);
    expect(all.of("a.test")).not.toBe(a);
  });

  it("remembers 256 hosts; the one that was longest unused makes room", () => {
    const all = names();
    const first = all.of("0.test");
    const second = all.of("1.test");
    for (let index = 2; index < 256; index++) all.of(`${index}.test`);
    expect(forgotten).toEqual([]);
    expect(all.of("0.test")).toBe(first);
    all.of("one-more.test");
    expect(forgotten).toEqual([second]);
    for (let index = 0; index < 1_000; index++) all.of(`attack-${index}.test`);
    expect(forgotten.length).toBe(1_001);
  });
});
