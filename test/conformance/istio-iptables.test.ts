import { existsSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { type CaptureFlagName, captureFlags, type CaptureFlagValues } from "../../init/capture-flags.ts";
import { parseCaptureOptions } from "../../init/parse-capture-options.ts";
import { plan } from "../../init/plan.ts";
import { restoreDocument } from "../../init/restore-document.ts";

/**
 * Istio's own golden files for its capture rules. They are read where they lie beside the checkout; without them the
 * suite is skipped.
 */
const corpus = new URL("../../../shared/corpora/istio-iptables/", import.meta.url);
const goldens = new URL("tools/istio-iptables/pkg/capture/testdata/", corpus);
const hasCorpus = existsSync(new URL("cases.json", corpus));
if (!hasCorpus) process.stdout.write("skipped: ../shared/corpora/istio-iptables is not there\n");

interface Case {
  readonly name: string;
  readonly golden: string;
  readonly set: Readonly<Record<string, string>>;
}

/** Istio's configuration fields and the flag each is set by. */
const flagOf: Readonly<Record<string, CaptureFlagName>> = {
  ProxyUID: "proxy-uid",
  ProxyGID: "proxy-gid",
  InboundPortsInclude: "istio-inbound-ports",
  InboundPortsExclude: "istio-local-exclude-ports",
  OutboundIPRangesInclude: "istio-service-cidr",
  OutboundIPRangesExclude: "istio-service-exclude-cidr",
  OutboundPortsInclude: "istio-outbound-ports",
  OutboundPortsExclude: "istio-local-outbound-ports-exclude",
  RerouteVirtualInterfaces: "kube-virt-interfaces",
  ExcludeInterfaces: "istio-exclude-interfaces",
  OwnerGroupsInclude: "outbound-owner-groups",
  OwnerGroupsExclude: "outbound-owner-groups-exclude",
  RedirectDNS: "redirect-dns",
  CaptureAllDNS: "capture-all-dns",
  DropInvalid: "drop-invalid",
};

/** Fields that say how to run, or that come from the host rather than from a flag. */
const notFlags = new Set(["DryRun", "EnableIPv6", "DNSServersV4", "DNSServersV6"]);

/** The Go literal of a case: a quoted string, a list of strings, or a word. */
function goStrings(literal: string): string[] {
  const quoted = [...literal.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "");
  return literal.includes('"') ? quoted : [literal];
}

function documents(set: Readonly<Record<string, string>>): string {
  const values = Object.fromEntries(captureFlags.map((flag) => [flag.name, flag.fallback])) as Record<CaptureFlagName, string>;
  for (const [field, literal] of Object.entries(set)) {
    const flag = flagOf[field];
    if (flag !== undefined) values[flag] = goStrings(literal).join(",");
    else if (!notFlags.has(field)) throw new Error(`the case sets ${field}, which this test does not know`);
  }
  const options = parseCaptureOptions(values satisfies CaptureFlagValues, {
    // Istio's cases switch IPv6 on directly; here the pod's first address decides.
    addresses: [set["EnableIPv6"] === "true" ? "2001:db8::1" : "192.0.2.1"],
    dnsServers: [...goStrings(set["DNSServersV4"] ?? '""'), ...goStrings(set["DNSServersV6"] ?? '""')],
    proxyUid: null,
  });
  const { v4, v6 } = plan(options);
  return restoreDocument([], v4) + (v6 === null ? "" : restoreDocument([], v6));
}

/** A golden file also logs the calls that only look; what remains are the documents. */
function goldenDocuments(name: string): string {
  return readFileSync(new URL(name, goldens), "utf8")
    .split("\n")
    .filter((line) => line !== "iptables-save" && line !== "ip6tables-save")
    .join("\n");
}

describe.skipIf(!hasCorpus)("capture rules equal Istio's golden files", () => {
  const { cases } = hasCorpus
    ? (JSON.parse(readFileSync(new URL("cases.json", corpus), "utf8")) as { cases: Case[] })
    : { cases: [] };

  it.each(cases)("$name", ({ golden, set }) => {
    expect(documents(set).trim()).toBe(goldenDocuments(golden).trim());
  });

  it("covers every golden file there is", () => {
    expect(cases.length).toBeGreaterThanOrEqual(13);
  });
});
