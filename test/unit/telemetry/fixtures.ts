import type { WorkloadSpec } from "../../../src/config/snapshot.ts";
import type { Clock } from "../../../src/core/clock.ts";
import type { ConnectionFacts } from "../../../src/message/connection-facts.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import type { Direction, ServiceRef } from "../../../src/message/stream-info.ts";
import type { WorkloadLabels } from "../../../src/message/workload-labels.ts";

/** A clock the test moves. */
export class FakeClock implements Clock {
  nowMs = 1000;
  offsetMs = Date.UTC(2026, 0, 1);

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.offsetMs + this.nowMs;
  }
}

export const OWN_LABELS: WorkloadLabels = {
  workload: "reviews-v1", namespace: "shop", canonicalService: "reviews", canonicalRevision: "v1", app: "reviews", version: "v1", cluster: "Kubernetes",
};

export const WORKLOAD: WorkloadSpec = {
  podName: "reviews-v1-abc", namespace: "shop", serviceAccount: "bookinfo-reviews", trustDomain: "cluster.local",
  addresses: ["10.0.0.7"], labels: { app: "reviews", version: "v1" }, metrics: OWN_LABELS,
};

export const PEER: WorkloadLabels = {
  workload: "productpage", namespace: "front", canonicalService: "productpage", canonicalRevision: "v2", app: "productpage", version: "v2", cluster: "Kubernetes",
};

export const SERVICE: ServiceRef = { host: "reviews.shop.svc.cluster.local", name: "reviews", namespace: "shop" };

export const PEER_ID = "spiffe://cluster.local/ns/front/sa/productpage";

/** A connection, with mutual TLS when `peerId` is given. */
export function connection(peerId: string | null = null): ConnectionFacts {
  return {
    remote: { address: "10.0.0.3", port: 40_000 },
    local: { address: "10.0.0.7", port: 9080 },
    isCaptured: true,
    tls: peerId === null ? null : {
      peer: { spiffeId: peerId, hash: "ab", subject: "", dnsNames: [], expiresAtMs: 0 },
      ownSpiffeId: "spiffe://cluster.local/ns/shop/sa/bookinfo-reviews", serverName: "outbound_.9080_._.reviews", alpn: "istio",
    },
  };
}

/** A finished request that took 12 ms. */
export function streamInfo(direction: Direction, change: Partial<StreamInfo> = {}, facts = connection(direction === "inbound" ? PEER_ID : null)): StreamInfo {
  const info = new StreamInfo(direction, facts, 1000);
  return Object.assign(info, {
    method: "GET", authority: "reviews:9080", path: "/reviews/1", status: 200, service: SERVICE, peer: PEER,
    clusterName: direction === "inbound" ? "inbound|9080||" : "outbound|9080||reviews.shop.svc.cluster.local",
    requestWireBytes: 300, responseWireBytes: 1200, ...change,
  });
}

/** One line of an exposition. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads Prometheus text; throws on a line that is not of the format, or on a sample of a metric without `# TYPE`. */
export function parseExposition(text: string): Sample[] {
  const types = new Set<string>();
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("# TYPE ")) types.add(line.split(" ")[2] as string);
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?[\d.e+-]+|\+Inf|-Inf)$/.exec(line);
    if (match === null) throw new Error(`not an exposition line: ${line}`);
    const [, name = "", block = "", value = ""] = match;
    if (!types.has(name) && !types.has(name.replace(/_(bucket|sum|count)$/, ""))) throw new Error(`no type for ${name}`);
    samples.push({ name, labels: parseLabels(block), value: Number(value.replace("Inf", "Infinity")) });
  }
  return samples;
}

function parseLabels(block: string): Record<string, string> {
  const labels: Record<string, string> = {};
  const pattern = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)/y;
  while (pattern.lastIndex < block.length) {
    const match = pattern.exec(block);
    if (match === null) throw new Error(`not labels: ${block}`);
    labels[match[1] as string] = (match[2] as string).replaceAll(/\\(.)/g, (_all, character: string) => (character === "n" ? "\n" : character));
  }
  return labels;
}

/** The value of the one sample with this name and these labels among its own. */
export function sampleValue(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const found = samples.filter((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
  if (found.length > 1) throw new Error(`${found.length} samples of ${name}`);
  return found[0]?.value;
}
