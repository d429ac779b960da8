import type { PodSpec } from "../kinds/kubernetes.ts";
import type { ResourceOf } from "../kinds/kind-specs.ts";
import type { Path } from "../resource.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

type Pod = ResourceOf<"Pod">;
type Security = PodSpec["spec"]["containers"][number]["securityContext"];

/** What the capture rules let pass, so that the proxy's own connections do not come back to it (spec/01). */
const PROXY_ID = 1337;
const PROXY_NAMES = new Set(["outrider", "istio-proxy"]);
/** Whoever has one of these changes the rules of the pod, or sends packets beside them. */
const NETWORK_CAPABILITIES = new Set(["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "ALL"]);

/**
 * Programs beside a sidecar that its capture rules do not hold (hostile row B28): with the proxy's user or group, with
 * capabilities over the network, or in the node's own. What they send has no identity and obeys no rule of the pod.
 */
export function aroundCapture(model: LintModel): Finding[] {
  return model.all("Pod").filter(hasSidecar).flatMap((pod) => {
    const { spec } = pod.spec;
    const found: Finding[] = [];
    if (spec.hostNetwork) found.push(inNodesNetwork(pod));
    spec.containers.forEach((container, index) => {
      if (!PROXY_NAMES.has(container.name)) found.push(...programs(pod, container.name, container.securityContext, ["spec", "containers", index]));
    });
    // Those that end before the application starts, as the one that installs the rules does, are left alone.
    spec.initContainers.forEach((container, index) => {
      if (container.restartPolicy === "Always" && !PROXY_NAMES.has(container.name)) found.push(...programs(pod, container.name, container.securityContext, ["spec", "initContainers", index]));
    });
    return found;
  });
}

function hasSidecar({ metadata, spec: { spec } }: Pod): boolean {
  return [...spec.containers, ...spec.initContainers].some(({ name }) => PROXY_NAMES.has(name))
    || Object.hasOwn(metadata.annotations, "sidecar.istio.io/status") || metadata.labels["security.istio.io/tlsMode"] === "istio";
}

function inNodesNetwork(pod: Pod): Finding {
  return {
    lint: "around-capture", resource: pod, path: ["spec", "hostNetwork"],
    message: "shares the network of its node: there is no network of the pod to capture in, and rules there would be the whole node's; leave hostNetwork out, or the sidecar",
  };
}

function programs(pod: Pod, name: string, own: Security, path: Path): Finding[] {
  const { securityContext: general } = pod.spec.spec;
  const found: Finding[] = [];
  const fields = (["runAsUser", "runAsGroup"] as const).filter((field) => (own[field] ?? general[field]) === PROXY_ID);
  const [field] = fields;
  if (field !== undefined) {
    found.push({
      lint: "around-capture", resource: pod, path: own[field] === undefined ? ["spec", "securityContext", field] : [...path, "securityContext", field],
      message: `container ${name} runs as ${fields.map((one) => (one === "runAsUser" ? "user" : "group")).join(" and ")} ${PROXY_ID}, the proxy's: nothing it sends is captured, encrypted or judged; give it another`,
    });
  }
  const capability = own.capabilities.add.map((given) => given.toUpperCase().replace(/^CAP_/, "")).find((given) => NETWORK_CAPABILITIES.has(given));
  if (own.privileged || capability !== undefined) {
    found.push({
      lint: "around-capture", resource: pod, path: [...path, "securityContext", own.privileged ? "privileged" : "capabilities"],
      message: `container ${name} ${own.privileged ? "is privileged" : `has the capability ${capability}`}: it can change the rules that capture its traffic, or send beside them; take it away`,
    });
  }
  return found;
}
