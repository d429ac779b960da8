import { chmodSync } from "node:fs";
import { join } from "node:path";

import { Caller } from "./caller.ts";
import { copyConfiguration } from "./config-folder.ts";
import { type Network, POD_NAMES, type PodName } from "./network.ts";
import { ReviewsApplication } from "./reviews-application.ts";
import { Sidecar, type SidecarPorts } from "./sidecar.ts";
import type { Workspace } from "./workspace.ts";

/** The demo's mesh, running. */
export interface Mesh {
  readonly workspace: Workspace;
  readonly network: Network;
  /** Folder of the YAML every sidecar reads. */
  readonly configuration: string;
  /** Folder of the development CA and the workloads' certificates. */
  readonly certificates: string;
  readonly sidecars: Readonly<Record<PodName, Sidecar>>;
  readonly reviews: Readonly<Record<"v1" | "v2", ReviewsApplication>>;
  /** Applications that call: one that may, one that may not, and one that is in no pod. */
  readonly callers: Readonly<Record<"productpage" | "visitor" | "outsider", Caller>>;
}

/** The identity each pod runs under: a service account in the namespace `default`. */
export const ACCOUNTS: Readonly<Record<PodName, string>> = {
  "reviews-v1": "reviews", "reviews-v2": "reviews", productpage: "productpage", visitor: "visitor",
};
const LABELS: Readonly<Record<PodName, string>> = {
  "reviews-v1": "app=reviews,version=v1", "reviews-v2": "app=reviews,version=v2", productpage: "app=productpage", visitor: "app=visitor",
};
/** Slow machines start slowly; nobody waits that long anywhere else. */
const START_TIMEOUT_MS = 60_000;

/** Issues, or renews, certificates of service accounts by `outrider certs`. */
export function issueCertificates(workspace: Workspace, folder: string, accounts: readonly string[], lifetime: string): Promise<void> {
  const names = accounts.map((account) => `ns/default/sa/${account}`);
  return workspace.run("certs", [...workspace.setting.outrider, "certs", "--out", folder, "--leaf-lifetime", lifetime, ...names]);
}

/** The SPIFFE ID of a service account of the demo. */
export function spiffeIdOf(account: string): string {
  return `spiffe://cluster.local/ns/default/sa/${account}`;
}

/** Makes certificates and configuration, starts every application and its sidecar, and waits until all are ready. */
export async function startMesh(workspace: Workspace, network: Network): Promise<Mesh> {
  const { examples } = workspace.setting;
  const configuration = workspace.path("config");
  const certificates = workspace.path("certs");
  copyConfiguration([join(examples, "mesh"), join(examples, network.examples)], configuration, network.substitutions);
  await Promise.all([issueCertificates(workspace, certificates, [...new Set(Object.values(ACCOUNTS))], "1h"), network.capture()]);
  // In namespaces the sidecars run as a user of their own, who must find the folders; the keys in them stay closed.
  if (!network.isShared) for (const folder of [workspace.folder, configuration, certificates]) chmodSync(folder, 0o755);
  const [v1, v2, productpage, visitor, outsider, ...sidecars] = await Promise.all([
    startReviews(workspace, network, "v1"),
    startReviews(workspace, network, "v2"),
    Caller.start(workspace, "productpage", (words) => network.pod("productpage").enter(words, "application")),
    Caller.start(workspace, "visitor", (words) => network.pod("visitor").enter(words, "application")),
    Caller.start(workspace, "outsider", (words) => network.outside(words)),
    ...POD_NAMES.map((name) => startSidecar(workspace, network, name, configuration, certificates)),
  ]);
  const running = Object.fromEntries(POD_NAMES.map((name, at) => [name, sidecars[at]])) as Record<PodName, Started>;
  const operatorOf = async (name: PodName): Promise<Caller> => {
    if (network.isShared || name === "productpage") return productpage;
    if (name === "visitor") return visitor;
    return Caller.start(workspace, `operator-${name}`, (words) => network.pod(name).enter(words, "application"));
  };
  const seen = await Promise.all(POD_NAMES.map(async (name) => {
    const sidecar = new Sidecar(running[name].program, running[name].ports, await operatorOf(name));
    await assureConfigured(name, sidecar);
    return [name, sidecar] as const;
  }));
  return {
    workspace, network, configuration, certificates,
    sidecars: Object.fromEntries(seen) as Record<PodName, Sidecar>,
    reviews: { v1, v2 },
    callers: { productpage, visitor, outsider },
  };
}

interface Started {
  readonly program: Sidecar["program"];
  readonly ports: SidecarPorts;
}

function startReviews(workspace: Workspace, network: Network, version: "v1" | "v2"): Promise<ReviewsApplication> {
  const { address, port } = network.application(version);
  return ReviewsApplication.start(workspace, version, address, port, (words) => network.pod(`reviews-${version}`).enter(words, "application"));
}

async function startSidecar(workspace: Workspace, network: Network, name: PodName, configuration: string, certificates: string): Promise<Started> {
  const place = network.pod(name);
  const words = [
    ...workspace.setting.outrider, "proxy", "--config", configuration, "--certs", join(certificates, `default.${ACCOUNTS[name]}`),
    "--drain", "2", ...place.proxyFlags,
  ];
  const program = workspace.start(`sidecar-${name}`, place.enter(words, "proxy"), {
    POD_NAME: name, POD_NAMESPACE: "default", SERVICE_ACCOUNT: ACCOUNTS[name], INSTANCE_IP: place.address, POD_LABELS: LABELS[name],
  });
  const ports = await program.line("its ready line", readyPorts, START_TIMEOUT_MS);
  return { program, ports };
}

function readyPorts(line: string): SidecarPorts | null {
  return line.startsWith('{"msg":"ready"') ? (JSON.parse(line) as { ports: SidecarPorts }).ports : null;
}

/** A sidecar that runs but did not get all it was told is no base for a story. */
async function assureConfigured(name: PodName, sidecar: Sidecar): Promise<void> {
  const { problems, listenerProblems } = await sidecar.configuration();
  const all = [...problems, ...listenerProblems];
  if (all.length > 0) throw new Error(`the sidecar of ${name} does not obey its configuration: ${all.join("; ")}`);
}
