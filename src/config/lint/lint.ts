import type { AnyResource } from "../kinds/kind-specs.ts";
import { problemAt } from "../problem.ts";
import type { Problem } from "../problem.ts";
import { aroundCapture } from "./around-capture.ts";
import { authorizationPolicies } from "./authorization.ts";
import { boundToGatewaysOnly } from "./bound-to-gateways.ts";
import { brokenRateLimits } from "./broken-rate-limit.ts";
import { claimedHosts } from "./claimed-host.ts";
import { excludedPorts } from "./excluded-ports.ts";
import { externalAuthorization } from "./external-authorization.ts";
import { faultsThatNeverFire } from "./fault-never-fires.ts";
import type { Finding } from "./finding.ts";
import { foreignHosts } from "./foreign-host.ts";
import { hiddenBySidecar } from "./hidden-by-sidecar.ts";
import { keysInPlainText } from "./keys-in-plain-text.ts";
import { LintModel } from "./lint-model.ts";
import { plaintextToTheMesh } from "./mesh-tls.ts";
import { modesForServicePorts } from "./port-level-mode.ts";
import { portProtocols } from "./port-protocol.ts";
import { prefixesWithoutSlash } from "./prefix-without-slash.ts";
import { doubtfulRetries } from "./retries.ts";
import { rulesWithoutPort } from "./rules-without-port.ts";
import { subnetsNeverDialled } from "./subnets-never-dialled.ts";
import { shadowedRoutes } from "./shadowed-route.ts";
import { surprisingWeights } from "./surprising-weight.ts";
import { tokensNotRequired } from "./token-not-required.ts";
import { trafficPolicies } from "./traffic-policy.ts";
import { unusedSubsetPolicies } from "./unused-subset-policy.ts";
import { valuesThatNeverMatch } from "./value-never-matches.ts";

const FAMILIES: readonly ((model: LintModel) => readonly Finding[])[] = [
  shadowedRoutes, prefixesWithoutSlash, surprisingWeights, doubtfulRetries, faultsThatNeverFire, brokenRateLimits,
  boundToGatewaysOnly, hiddenBySidecar, rulesWithoutPort, subnetsNeverDialled, portProtocols, claimedHosts, foreignHosts,
  trafficPolicies, unusedSubsetPolicies, plaintextToTheMesh, modesForServicePorts,
  authorizationPolicies, externalAuthorization, valuesThatNeverMatch, tokensNotRequired, keysInPlainText, excludedPorts, aroundCapture,
];

/**
 * What is valid, obeyed, and probably not what its author meant: for `outrider check`, never for a reload. Each problem
 * has the name of its lint. The resources are valid by their schemas, in any order; the same ones give the same problems.
 */
export function lint(resources: readonly AnyResource[]): Problem[] {
  const model = new LintModel(resources);
  return FAMILIES.flatMap((family) => family(model)).map(({ lint: name, severity, resource, path, message }) =>
    ({ ...problemAt(severity ?? "warning", resource, path, message), lint: name }));
}
