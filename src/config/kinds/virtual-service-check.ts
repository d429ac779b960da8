import { checkExportTo } from "./export-to.ts";
import { checkHttpRule } from "./http-rule-check.ts";
import type { Report } from "./report.ts";
import type { TcpRule, TlsRule, VirtualServiceSpec } from "./virtual-service.ts";
import { checkWeights } from "./weights.ts";

const GATEWAY = /^(?:[a-z0-9][-a-z0-9]*\/)?[a-zA-Z0-9](?:[-a-zA-Z0-9.]*[a-zA-Z0-9])?$/;

/** True when every name that `inner` stands for is one `outer` stands for (`spec/00` 0.3). */
function covers(outer: string, inner: string): boolean {
  if (outer === inner) return true;
  return outer.startsWith("*") && inner.replace(/^\*/, "").endsWith(outer.slice(1)) && inner.length >= outer.length;
}

function checkHosts(spec: VirtualServiceSpec, report: Report): void {
  const hosts = spec.hosts.map((host) => host.toLowerCase());
  const isBoundToMesh = spec.gateways === undefined || spec.gateways.includes("mesh");
  hosts.forEach((host, index) => {
    if (host === "*" && isBoundToMesh) return report.error(["hosts", index], "the wildcard \"*\" is not allowed for gateway \"mesh\"");
    const other = hosts.findIndex((candidate, at) => at < index && (covers(candidate, host) || covers(host, candidate)));
    if (other >= 0) report.error(["hosts", index], `overlaps with host ${JSON.stringify(spec.hosts[other])}`);
  });
}

/** A VirtualService without hosts is a delegate: it is only reached through another one. */
function checkDelegate(spec: VirtualServiceSpec, report: Report): void {
  if (spec.gateways !== undefined) report.error(["gateways"], "a VirtualService without hosts (a delegate) must not name gateways");
  if (spec.tls.length > 0) report.error(["tls"], "a VirtualService without hosts (a delegate) must not have tls rules");
  if (spec.tcp.length > 0) report.error(["tcp"], "a VirtualService without hosts (a delegate) must not have tcp rules");
  if (spec.http.length === 0) report.error(["hosts"], "is required");
}

function checkGateways(spec: VirtualServiceSpec, report: Report): void {
  spec.gateways?.forEach((gateway, index) => {
    if (!GATEWAY.test(gateway)) report.error(["gateways", index], `${JSON.stringify(gateway)} is neither "mesh" nor the name of a Gateway (name, or namespace/name)`);
  });
}

/** What a rule with claims does in a sidecar, which has none. */
const CLAIMS_IN_SIDECAR = {
  headers: "is for gateways only: in a sidecar, for which \"mesh\" is named too, this match never holds",
  withoutHeaders: "is for gateways only: in a sidecar, for which \"mesh\" is named too, there are no claims, so that this always holds",
} as const;

/** Istio refuses claims where no gateway could read them; beside `mesh` they are for the gateways alone. */
function checkClaims(spec: VirtualServiceSpec, report: Report): void {
  const gateways = spec.gateways ?? ["mesh"];
  if (!gateways.includes("mesh")) return;
  const isMeshOnly = gateways.every((gateway) => gateway === "mesh");
  spec.http.forEach((rule, index) => rule.match.forEach((match, at) => {
    for (const field of ["headers", "withoutHeaders"] as const) {
      const claim = Object.keys(match[field] ?? {}).find((name) => name.startsWith("@request.auth.claims"));
      if (claim === undefined) continue;
      const path = ["http", index, "match", at, field, claim];
      if (isMeshOnly) report.error(path, "routing by the claims of a token works at gateways only");
      else if (match.gateways.length === 0 || match.gateways.includes("mesh")) report.warn(path, CLAIMS_IN_SIDECAR[field]);
    }
  }));
}

function checkTls(rule: TlsRule, index: number, spec: VirtualServiceSpec, report: Report): void {
  if (rule.route.length === 0) report.error(["tls", index, "route"], "is required");
  checkWeights(rule.route, ["tls", index, "route"], report);
  rule.match.forEach((match, at) => match.sniHosts.forEach((sniHost, hostAt) => {
    if (spec.hosts.some((host) => covers(host.toLowerCase(), sniHost.toLowerCase()))) return;
    report.error(["tls", index, "match", at, "sniHosts", hostAt], `${JSON.stringify(sniHost)} is not covered by the hosts of this VirtualService`);
  }));
}

function checkTcp(rule: TcpRule, index: number, report: Report): void {
  if (rule.route.length === 0) report.error(["tcp", index, "route"], "is required");
  checkWeights(rule.route, ["tcp", index, "route"], report);
}

/** The rules of `spec/03` 3.13. */
export function checkVirtualService(spec: VirtualServiceSpec, report: Report): void {
  if (spec.hosts.length === 0) checkDelegate(spec, report);
  else if (spec.http.length + spec.tls.length + spec.tcp.length === 0) report.error([], "must have at least one of http, tls and tcp");
  checkHosts(spec, report);
  checkGateways(spec, report);
  checkClaims(spec, report);
  checkExportTo(spec.exportTo, report, { allowsNone: false });
  spec.http.forEach((rule, index) => checkHttpRule(rule, ["http", index], { isDelegate: spec.hosts.length === 0 }, report));
  spec.tls.forEach((rule, index) => checkTls(rule, index, spec, report));
  spec.tcp.forEach((rule, index) => checkTcp(rule, index, report));
}
