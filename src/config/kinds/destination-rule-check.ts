import type { Metadata, Path } from "../resource.ts";
import type { ConnectionPool } from "./connection-pool.ts";
import type { ClientTls, DestinationRuleSpec, LoadBalancer, OutlierDetection, PortTrafficPolicy, TrafficPolicy } from "./destination-rule.ts";
import { checkExportTo } from "./export-to.ts";
import { checkLocality, checkZoneAware } from "./locality-check.ts";
import type { Report } from "./report.ts";

const SUBSET_NAME = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;

/** A pool that sets nothing is a mistake: it would replace the limits that stand above it by none (`spec/04` 4.1). */
export function checkConnectionPool(pool: ConnectionPool | undefined, path: Path, report: Report): void {
  if (pool === undefined) return;
  if (pool.tcp === undefined && pool.http === undefined) report.error(path, "must set tcp or http");
  const times = pool.http;
  if (times?.h2UpgradePolicy === "UPGRADE" && times.useClientProtocol === true) report.error([...path, "http", "useClientProtocol"], "must not stand beside h2UpgradePolicy UPGRADE");
}

function isPrime(value: number): boolean {
  if (value < 2 || (value % 2 === 0 && value !== 2)) return false;
  for (let divisor = 3; divisor * divisor <= value; divisor += 2) if (value % divisor === 0) return false;
  return true;
}

function checkConsistentHash(hash: NonNullable<LoadBalancer["consistentHash"]>, path: Path, report: Report): void {
  const keys = [hash.httpHeaderName, hash.httpCookie, hash.useSourceIp, hash.httpQueryParameterName].filter((key) => key !== undefined);
  if (keys.length > 1) report.error(path, "set only one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName");
  if (hash.ringHash !== undefined && hash.maglev !== undefined) report.error([...path, "maglev"], "must not stand beside ringHash");
  const size = hash.maglev?.tableSize;
  if (hash.maglev !== undefined && (size === undefined || !isPrime(size))) report.error([...path, "maglev", "tableSize"], "must be a prime number up to 5000011");
}

function checkLoadBalancer(balancer: LoadBalancer | undefined, path: Path, report: Report): void {
  if (balancer === undefined) return;
  if (balancer.simple !== undefined && balancer.consistentHash !== undefined) report.error([...path, "consistentHash"], "must not stand beside simple");
  if (balancer.consistentHash !== undefined) checkConsistentHash(balancer.consistentHash, [...path, "consistentHash"], report);
  const { localityLbSetting: locality, zoneAwareLbSetting: zoneAware } = balancer;
  if (zoneAware !== undefined) checkZoneAware(zoneAware, [...path, "zoneAwareLbSetting"], report);
  if (locality === undefined) return;
  if (balancer.zoneAwareLbSetting !== undefined) report.error([...path, "zoneAwareLbSetting"], "must not stand beside localityLbSetting");
  checkLocality(locality, [...path, "localityLbSetting"], report);
}

function checkTls(tls: ClientTls | undefined, path: Path, report: Report, hasSelector: boolean): void {
  if (tls === undefined) return;
  if (tls.credentialName && !hasSelector && (tls.mode === "SIMPLE" || tls.mode === "MUTUAL")) {
    report.warn([...path, "credentialName"], "is obeyed, from files; a sidecar of Istio's obeys it only in a rule with workloadSelector");
  }
  const files = (["clientCertificate", "privateKey", "caCertificates", "credentialName"] as const).filter((field) => tls[field]);
  if (tls.mode === "ISTIO_MUTUAL") {
    for (const field of files) report.error([...path, field], "must not be set with mode ISTIO_MUTUAL, which uses the workload's own certificate");
  }
  if (tls.mode === "MUTUAL" && !tls.credentialName) {
    for (const field of ["clientCertificate", "privateKey"] as const) if (!tls[field]) report.error([...path, field], "is required with mode MUTUAL");
  }
  if (tls.insecureSkipVerify === true && tls.caCertificates) report.error([...path, "caCertificates"], "must not stand beside insecureSkipVerify, which checks nothing against it");
  if (tls.insecureSkipVerify === true && tls.subjectAltNames.length > 0) report.error([...path, "subjectAltNames"], "must not stand beside insecureSkipVerify, which checks none of them");
}

export function checkOutlierDetection(outlier: OutlierDetection | undefined, path: Path, report: Report): void {
  if (outlier?.splitExternalLocalOriginErrors !== true && (outlier?.consecutiveLocalOriginFailures ?? 0) > 0) {
    report.error([...path, "consecutiveLocalOriginFailures"], "needs splitExternalLocalOriginErrors: true");
  }
}

function checkBlocks(policy: PortTrafficPolicy | TrafficPolicy, path: Path, report: Report, hasSelector: boolean): void {
  checkConnectionPool(policy.connectionPool, [...path, "connectionPool"], report);
  checkLoadBalancer(policy.loadBalancer, [...path, "loadBalancer"], report);
  checkTls(policy.tls, [...path, "tls"], report, hasSelector);
  checkOutlierDetection(policy.outlierDetection, [...path, "outlierDetection"], report);
}

function checkPolicy(policy: TrafficPolicy | undefined, path: Path, report: Report, hasSelector: boolean): void {
  if (policy === undefined) return;
  const isEmpty = Object.values(policy).every((value) => value === undefined || (Array.isArray(value) && value.length === 0));
  if (isEmpty) report.error(path, "must set at least one of its fields");
  checkBlocks(policy, path, report, hasSelector);
  if (!["", "CONNECT", "POST"].includes(policy.tunnel?.protocol ?? "")) report.error([...path, "tunnel", "protocol"], "must be CONNECT or POST");
  const seen = new Set<number>();
  policy.portLevelSettings.forEach((setting, index) => {
    const at = [...path, "portLevelSettings", index];
    if (seen.has(setting.port.number)) report.error([...at, "port", "number"], `port ${setting.port.number} has settings already`);
    seen.add(setting.port.number);
    checkBlocks(setting, at, report, hasSelector);
  });
}

/** The rules over several fields of a DestinationRule (Istio's `ValidateDestinationRule`). */
export function checkDestinationRule(spec: DestinationRuleSpec, report: Report, metadata: Metadata): void {
  checkExportTo(spec.exportTo, report, { allowsNone: false });
  if (spec.workloadSelector !== undefined) {
    spec.exportTo?.forEach((entry, index) => {
      if (entry !== "." && entry !== metadata.namespace) report.error(["exportTo", index], "must be \".\" beside workloadSelector, which chooses workloads of this namespace alone");
    });
  }
  const hasSelector = spec.workloadSelector !== undefined;
  checkPolicy(spec.trafficPolicy, ["trafficPolicy"], report, hasSelector);
  const names = new Set<string>();
  spec.subsets.forEach((subset, index) => {
    const path = ["subsets", index];
    if (!SUBSET_NAME.test(subset.name)) report.error([...path, "name"], `${JSON.stringify(subset.name)} is not a subset name (letters, digits and '-')`);
    if (names.has(subset.name)) report.error([...path, "name"], `subset ${JSON.stringify(subset.name)} is there twice`);
    names.add(subset.name);
    checkPolicy(subset.trafficPolicy, [...path, "trafficPolicy"], report, hasSelector);
  });
}
