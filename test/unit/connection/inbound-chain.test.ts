import { describe, expect, it } from "vitest";

import type { MtlsMode, ProtocolSpec } from "../../../src/config/snapshot.ts";
import { chooseInboundChain, dialsEarly, type Observed, servesUnseen } from "../../../src/connection/inbound-chain.ts";

const mesh1: Observed = { kind: "tls", alpn: ["istio-http/1.1", "istio", "http/1.1"] };
const mesh2: Observed = { kind: "tls", alpn: ["istio-h2", "istio", "h2"] };
const meshTcp: Observed = { kind: "tls", alpn: ["istio-peer-exchange", "istio"] };
const otherTls: Observed = { kind: "tls", alpn: ["h2", "http/1.1"] };
const bareTls: Observed = { kind: "tls", alpn: [] };
const http: Observed = { kind: "http" };
const opaque: Observed = { kind: "opaque" };

const names = new Map<Observed, string>([[mesh1, "mesh HTTP/1"], [mesh2, "mesh HTTP/2"], [meshTcp, "mesh TCP"], [otherTls, "other TLS"], [bareTls, "bare TLS"], [http, "HTTP"], [opaque, "bytes"]]);

/** Every cell of the matrix of `spec/02` 2.7: T terminate, P plaintext, with the protocol; R refused. */
const matrix: readonly (readonly [MtlsMode, ProtocolSpec, readonly (readonly [Observed, string])[]])[] = [
  ["PERMISSIVE", "http", [[mesh1, "T http"], [mesh2, "T http"], [meshTcp, "T http"], [otherTls, "R tls_without_mesh_alpn"], [bareTls, "R tls_without_mesh_alpn"], [http, "P http"], [opaque, "P http"]]],
  ["PERMISSIVE", "tcp", [[mesh1, "T tcp"], [mesh2, "T tcp"], [meshTcp, "T tcp"], [otherTls, "P tcp"], [bareTls, "P tcp"], [http, "P tcp"], [opaque, "P tcp"]]],
  ["PERMISSIVE", "auto", [[mesh1, "T http"], [mesh2, "T http"], [meshTcp, "T tcp"], [otherTls, "P tcp"], [bareTls, "P tcp"], [http, "P http"], [opaque, "P tcp"]]],
  ["STRICT", "http", [[mesh1, "T http"], [mesh2, "T http"], [meshTcp, "T http"], [otherTls, "T http"], [bareTls, "T http"], [http, "R plaintext_on_strict_port"], [opaque, "R plaintext_on_strict_port"]]],
  ["STRICT", "tcp", [[mesh1, "T tcp"], [mesh2, "T tcp"], [meshTcp, "T tcp"], [otherTls, "T tcp"], [bareTls, "T tcp"], [http, "R plaintext_on_strict_port"], [opaque, "R plaintext_on_strict_port"]]],
  ["STRICT", "auto", [[mesh1, "T http"], [mesh2, "T http"], [meshTcp, "T tcp"], [otherTls, "T tcp"], [bareTls, "T tcp"], [http, "R plaintext_on_strict_port"], [opaque, "R plaintext_on_strict_port"]]],
  ["DISABLE", "http", [[mesh1, "P http"], [otherTls, "P http"], [http, "P http"], [opaque, "P http"]]],
  ["DISABLE", "tcp", [[mesh1, "P tcp"], [otherTls, "P tcp"], [http, "P tcp"], [opaque, "P tcp"]]],
  ["DISABLE", "auto", [[mesh1, "P tcp"], [otherTls, "P tcp"], [http, "P http"], [opaque, "P tcp"]]],
];

const cells = matrix.flatMap(([mode, protocol, row]) => row.map(([observed, expected]) => [mode, protocol, names.get(observed) ?? "", observed, expected] as const));

describe("chooseInboundChain", () => {
  it.each(cells)("%s %s, %s", (mode, protocol, _name, observed, expected) => {
    const chain = chooseInboundChain(mode, protocol, observed);
    expect(chain.kind === "refuse" ? `R ${chain.reason}` : `${chain.kind === "terminate" ? "T" : "P"} ${chain.protocol}`).toBe(expected);
  });

  it.each(["http", "tcp"] as const)("a port with TLS of its own takes nothing else (%s)", (protocol) => {
    const chains = [mesh1, otherTls, bareTls, http, opaque].map((observed) => chooseInboundChain("DISABLE", protocol, observed, true));
    expect(chains).toEqual([...Array<unknown>(3).fill({ kind: "terminate-own", protocol }), ...Array<unknown>(2).fill({ kind: "refuse", reason: "plaintext_on_tls_port" })]);
    expect([servesUnseen("DISABLE", protocol, true), dialsEarly("DISABLE", protocol, true)]).toEqual([false, false]);
  });

  it("only opaque bytes without mTLS are served without looking", () => {
    expect(servesUnseen("DISABLE", "tcp")).toBe(true);
    expect(servesUnseen("DISABLE", "http")).toBe(false);
    expect(servesUnseen("DISABLE", "auto")).toBe(false);
    expect(servesUnseen("PERMISSIVE", "tcp")).toBe(false);
    expect(servesUnseen("STRICT", "http")).toBe(false);
  });
});
