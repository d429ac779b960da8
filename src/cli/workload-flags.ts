import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { Flag, FlagValues } from "./command-flags.ts";
import { workloadFromEnvironment } from "./workload-environment.ts";

const text = (name: string, environment: string, fallback: string, value: string, help: string): Flag => ({ name, kind: "text", environment, fallback, value, help });

/** Which workload is meant, for commands that run beside none: the environment of `outrider proxy`, as flags. */
export const WORKLOAD_FLAGS: readonly Flag[] = [
  text("pod-name", "POD_NAME", "pod", "NAME", "name of the workload's pod"),
  text("namespace", "POD_NAMESPACE", "default", "NAMESPACE", "namespace of the workload"),
  text("service-account", "SERVICE_ACCOUNT", "default", "ACCOUNT", "service account of the workload"),
  text("address", "INSTANCE_IP", "", "ADDR,ADDR", "addresses of the pod; by them its ports are found where no label selects it"),
  text("labels", "POD_LABELS", "", "K=V,K=V", "labels of the pod; without any, those of the file POD_LABELS_FILE"),
  text("locality", "OUTRIDER_LOCALITY", "", "REGION/ZONE/SUBZONE", "where it runs; empty: as its Pod and Node say"),
  text("node", "NODE_NAME", "", "NODE", "the node it runs on; empty: as its Pod says"),
  text("trust-domain", "TRUST_DOMAIN", "", "DOMAIN", "trust domain of its certificate; empty: that of the mesh configuration"),
];

/** The workload the flags and the environment name. Unlike a proxy, it does not take this host's addresses for its own. */
export function workloadFromFlags(flags: FlagValues, environment: NodeJS.ProcessEnv): WorkloadIdentity {
  const workload = workloadFromEnvironment({
    ...environment,
    POD_NAME: flags.text("pod-name"),
    POD_NAMESPACE: flags.text("namespace"),
    SERVICE_ACCOUNT: flags.text("service-account"),
    INSTANCE_IP: flags.text("address"),
    POD_LABELS: flags.text("labels"),
    OUTRIDER_LOCALITY: flags.text("locality"),
    NODE_NAME: flags.text("node"),
    TRUST_DOMAIN: flags.text("trust-domain"),
  }, "pod");
  return flags.text("address") === "" ? { ...workload, addresses: [] } : workload;
}
