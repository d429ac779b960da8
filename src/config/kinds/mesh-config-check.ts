import { trustDomainProblem } from "../../identity/spiffe-id.ts";
import type { Path } from "../resource.ts";
import { checkCaCertificates } from "./ca-certificate-check.ts";
import { checkConnectionPool, checkOutlierDetection } from "./destination-rule-check.ts";
import { checkExportTo } from "./export-to.ts";
import { providerKinds } from "./extension-provider.ts";
import { checkExternalAuthorizer } from "./external-authorizer-check.ts";
import { hostNameFault } from "./host-name.ts";
import { checkLocality, checkZoneAware } from "./locality-check.ts";
import type { MeshConfigSpec, MeshRetryPolicy } from "./mesh-config.ts";
import { checkProxyStart } from "./proxy-environment.ts";
import type { Report } from "./report.ts";
import { idleConditions, retryOnFault } from "./retry-conditions.ts";

function checkTrustDomain(domain: string, path: Path, report: Report): void {
  const fault = hostNameFault(domain, { allowsWildcard: false });
  if (fault !== null) report.error(path, `is not a trust domain: ${fault}`);
  const problem = fault === null ? trustDomainProblem(domain) : null;
  if (problem !== null) report.warn(path, `is the trust domain of nobody: ${problem}`);
}

function checkRetryPolicy(policy: MeshRetryPolicy | undefined, path: Path, report: Report): void {
  if (policy === undefined) return;
  const fault = retryOnFault(policy.retryOn ?? "");
  if (fault !== null) report.error([...path, "retryOn"], fault);
  for (const idle of idleConditions(policy.retryOn ?? "")) report.warn([...path, "retryOn"], idle);
  if (policy.attempts === 0 && (policy.retryOn || policy.backoff !== undefined)) {
    report.error([...path, "attempts"], "is 0, which turns retries off, so retryOn and backoff must not be set");
  }
}

function checkDefaultTrafficPolicy(spec: MeshConfigSpec, report: Report): void {
  const path = ["defaultTrafficPolicy"];
  const policy = spec.defaultTrafficPolicy;
  if (policy === undefined) return;
  checkConnectionPool(policy.connectionPool, [...path, "connectionPool"], report);
  checkOutlierDetection(policy.outlierDetection, [...path, "outlierDetection"], report);
}

/** Providers are found by name, case not counting (`spec/06` 6.8). */
function checkProviders(spec: MeshConfigSpec, report: Report): void {
  const names = new Set<string>();
  spec.extensionProviders.forEach((provider, index) => {
    const path = ["extensionProviders", index];
    const name = provider.name.toLowerCase();
    if (names.has(name)) report.error([...path, "name"], `there is a provider of the name ${JSON.stringify(provider.name)} already`);
    names.add(name);
    const kinds = providerKinds(provider);
    if (kinds.length === 0) report.error(path, "must say what it provides, such as zipkin, opentelemetry or envoyExtAuthzHttp");
    if (kinds.length > 1) report.error([...path, kinds[1] as string], `must not stand beside ${kinds[0]}`);
    checkExternalAuthorizer(provider, path, report);
  });
}

/** The rules over several fields of a MeshConfig (Istio's `ValidateMeshConfig`), as far as they concern a sidecar. */
export function checkMeshConfig(spec: MeshConfigSpec, report: Report): void {
  if (spec.trustDomain !== undefined) checkTrustDomain(spec.trustDomain, ["trustDomain"], report);
  spec.trustDomainAliases.forEach((domain, index) => checkTrustDomain(domain, ["trustDomainAliases", index], report));
  checkRetryPolicy(spec.defaultHttpRetryPolicy, ["defaultHttpRetryPolicy"], report);
  checkRetryPolicy(spec.defaultInboundHttpRetryPolicy, ["defaultInboundHttpRetryPolicy"], report);
  checkDefaultTrafficPolicy(spec, report);
  checkProviders(spec, report);
  const { concurrency, proxyMetadata } = spec.defaultConfig ?? {};
  checkProxyStart(concurrency, proxyMetadata, { concurrency: ["defaultConfig", "concurrency"], environment: ["defaultConfig", "proxyMetadata"] }, report);
  if (spec.localityLbSetting !== undefined) checkLocality(spec.localityLbSetting, ["localityLbSetting"], report);
  if (spec.zoneAwareLbSetting !== undefined) checkZoneAware(spec.zoneAwareLbSetting, ["zoneAwareLbSetting"], report);
  for (const field of ["defaultServiceExportTo", "defaultVirtualServiceExportTo", "defaultDestinationRuleExportTo"] as const) {
    checkExportTo(spec[field], report, { allowsNone: true, field });
  }
  checkCaCertificates(spec, report);
}
