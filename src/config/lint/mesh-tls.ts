import { hostOf } from "../compile/destination-rule-index.ts";
import type { DestinationRule } from "../compile/destination-rule-index.ts";
import type { ServiceEndpoint } from "../compile/service.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";
import { endpointsOf, policyLevels, portsOf } from "./policy-level.ts";
import type { PolicyLevel } from "./policy-level.ts";

/**
 * DestinationRules that turn TLS off towards workloads of the mesh. Where PeerAuthentication is STRICT no connection is
 * ever accepted; where it is PERMISSIVE callers lose their identity, and with it what policies grant them.
 */
export function plaintextToTheMesh(model: LintModel): Finding[] {
  return model.destinationRules.flatMap((rule) => policyLevels(rule).flatMap((level) => {
    const finding = level.blocks.tls?.mode === "DISABLE" ? judge(model, rule, level) : null;
    return finding === null ? [] : [finding];
  }));
}

function judge(model: LintModel, rule: DestinationRule, level: PolicyLevel): Finding | null {
  let open: number | null = null;
  for (const service of model.services.within(hostOf(rule))) {
    for (const port of portsOf(level, service)) {
      const modes = endpointsOf(level, port).filter((endpoint) => endpoint.takesMeshTls).map((endpoint) => modeOf(model, endpoint));
      if (modes.length > 0 && modes.every((mode) => mode === "STRICT")) return strict(rule, level, service.host, port.number);
      if (modes.includes("PERMISSIVE")) open ??= port.number;
    }
  }
  return open === null ? null : permissive(rule, level, open);
}

function modeOf(model: LintModel, { namespace, labels, port }: ServiceEndpoint): string {
  return model.peerAuthentications.modeOf(namespace, labels, port);
}

function strict(rule: DestinationRule, level: PolicyLevel, host: string, port: number): Finding {
  return {
    lint: "plaintext-to-strict", severity: "error", resource: rule, path: [...level.path, "tls", "mode"],
    message: `every connection to ${host} port ${port} is refused: PeerAuthentication is STRICT there and this turns TLS off; write ISTIO_MUTUAL, or leave tls out`,
  };
}

function permissive(rule: DestinationRule, level: PolicyLevel, port: number): Finding {
  return {
    lint: "plaintext-in-mesh", resource: rule, path: [...level.path, "tls", "mode"],
    message: `calls to port ${port} are sent in plain text though its workloads take mesh mTLS: nobody knows who calls, and policies on principals and namespaces do not match; write ISTIO_MUTUAL, or leave tls out`,
  };
}
