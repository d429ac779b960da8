import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

const INCLUDE = "traffic.sidecar.istio.io/includeInboundPorts";
const EXCLUDE = "traffic.sidecar.istio.io/excludeInboundPorts";

/** Ports are excluded from `*` only: a list of included ports is taken as it is (spec/01, spec/10 10.3). */
export function excludedPorts(model: LintModel): Finding[] {
  return model.all("Pod").flatMap((pod): Finding[] => {
    const { annotations } = pod.metadata;
    const included = annotations[INCLUDE];
    if (!annotations[EXCLUDE] || included === undefined || included === "*") return [];
    return [{
      lint: "exclude-without-include", resource: pod, path: ["metadata", "annotations", EXCLUDE],
      message: `has no effect beside includeInboundPorts ${JSON.stringify(included)}, which is already the whole list; leave these ports out there, or write includeInboundPorts: "*"`,
    }];
  });
}
