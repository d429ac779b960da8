import { classOf } from "../compile/port-protocol.ts";
import type { PortClass } from "../compile/port-protocol.ts";
import type { ServicePort } from "../compile/service.ts";
import { MESH_GATEWAY, hostsOf } from "../compile/virtual-service-index.ts";
import type { VirtualService } from "../compile/virtual-service-index.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** The ports whose traffic each kind of rule is asked about (spec/03 3.1): of `auto` ones, both kinds by what is spoken. */
const CLASSES: Readonly<Record<"http" | "tcp", readonly PortClass[]>> = { http: ["http", "auto"], tcp: ["tcp", "tls", "auto"] };

/**
 * Rules for a protocol that none of the hosts' ports speaks, and matches on a port that none of them has. `tls` rules are
 * the compiler's to tell of.
 */
export function rulesWithoutPort(model: LintModel): Finding[] {
  return model.virtualServices.flatMap((resource) => {
    // Rules that gateways obey as well may be meant for those.
    if ((resource.spec.gateways ?? [MESH_GATEWAY]).some((gateway) => gateway !== MESH_GATEWAY)) return [];
    const ports = hostsOf(resource).flatMap((host) => model.services.within(host)).flatMap((service) => service.ports);
    return ports.length === 0 ? [] : (["http", "tcp"] as const).flatMap((kind) => judge(resource, kind, ports));
  });
}

function judge(resource: VirtualService, kind: "http" | "tcp", ports: readonly ServicePort[]): Finding[] {
  const rules = resource.spec[kind];
  if (rules.length === 0) return [];
  const usable = ports.filter((port) => CLASSES[kind].includes(classOf(port.protocol)));
  if (usable.length === 0) {
    const declared = [...new Set(ports.map((port) => `${port.number} ${port.protocol}`))].slice(0, 5).join(", ");
    const advice = kind === "http" ? "write tcp or tls rules, or declare the port http" : "write http rules, or declare the port tcp";
    return [{
      lint: "rules-without-port", resource, path: ["spec", kind],
      message: `${kind} rules have no effect: of the hosts' ports (${declared}) none is ${kind === "http" ? "HTTP" : "TCP"}; ${advice}`,
    }];
  }
  return rules.flatMap((rule, index) => rule.match.flatMap((match, at): Finding[] => {
    const { port } = match;
    if (port === undefined || usable.some((candidate) => candidate.number === port)) return [];
    const numbers = [...new Set(usable.map((candidate) => candidate.number))].slice(0, 5).join(", ");
    return [{
      lint: "rules-without-port", resource, path: ["spec", kind, index, "match", at, "port"],
      message: `never matches: none of the hosts has port ${port} for ${kind} rules; write one of ${numbers}, or leave port out`,
    }];
  }));
}
