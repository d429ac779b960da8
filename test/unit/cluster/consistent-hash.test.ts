import { existsSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type Hash64, loadHash64, requireHash64 } from "../../../src/cluster/hash64.ts";
import { MaglevPicker } from "../../../src/cluster/maglev.ts";
import type { Candidate, Picker } from "../../../src/cluster/picker.ts";
import { RingHashPicker } from "../../../src/cluster/ring-hash.ts";
import { seededRandom } from "../../contract/load-balancer.ts";

/* Envoy's own numbers, where they are; what must hold of any consistent hash everywhere. */

const VECTORS = "../shared/corpora/lb-hash-vectors";
const hasVectors = existsSync(VECTORS);
if (!hasVectors) process.stdout.write(`skipped: consistent hashing against Envoy's vectors: there is no ${VECTORS}\n`);

interface Scenario {
  readonly kind: "maglev" | "ring_hash";
  readonly test: string;
  readonly hosts: readonly { readonly hostname: string | null; readonly address: string; readonly weight: number }[];
  readonly use_hostname_for_hashing?: boolean;
  readonly hash_function?: string;
  readonly locality_weights?: readonly number[];
  readonly table_size?: number;
  readonly expected_assignments?: readonly number[];
  readonly min_entries_per_host?: number;
  readonly max_entries_per_host?: number;
  readonly minimum_ring_size?: number;
  readonly maximum_ring_size?: number;
  readonly size?: number;
  readonly min_hashes_per_host?: number;
  readonly max_hashes_per_host?: number;
  readonly ring?: readonly { readonly host: string; readonly hash: string }[];
  readonly lookups?: readonly { readonly hash_key: string; readonly host_index: number }[];
}

interface Host extends Candidate {
  /** Its place in the scenario. */
  readonly index: number;
}

const read = (name: string): unknown => JSON.parse(readFileSync(`${VECTORS}/${name}`, "utf8"));
const scenarios = hasVectors ? (read("consistent-hash.json") as Scenario[]).filter(({ hash_function: name }) => name === undefined) : [];

/**
 * Envoy multiplies the share of a host in its locality with that of the locality; one without weight has no traffic. Of three
 * hosts each has a locality to itself, in Envoy's test the last one the second.
 */
function hostsOf({ hosts, locality_weights: weights, use_hostname_for_hashing: byName }: Scenario): Host[] {
  const localities = hosts.length === 3 ? [0, 2, 1] : [0, 1];
  return hosts.flatMap(({ hostname, address, weight }, index) => {
    const effective = weights === undefined ? weight : weights[localities[index] as number] as number;
    return effective === 0 ? [] : [{ index, weight: effective, activeRequests: 0, hashKey: byName === true ? hostname as string : address }];
  });
}

function candidates(count: number): Host[] {
  return Array.from({ length: count }, (_, index) => ({ index, weight: 1, activeRequests: 0, hashKey: `10.0.0.${index}:8080` }));
}

let hash: Hash64;
beforeAll(async () => {
  await loadHash64();
  hash = requireHash64();
});

describe.skipIf(!hasVectors)("Envoy's vectors", () => {
  it("xxHash64", () => {
    const { xxHash64: cases } = read("hash.json") as { xxHash64: { in: string; out: string }[] };
    for (const { in: text, out } of cases) expect(hash(Buffer.from(text), 0n)).toBe(BigInt(out));
  });

  it.each(scenarios.filter(({ kind }) => kind === "maglev"))("Maglev, $test", (scenario) => {
    const hosts = hostsOf(scenario);
    const picker = new MaglevPicker(hosts, scenario.table_size as number, hash);
    // Its numbers count the hosts that have traffic.
    const { table } = picker;
    if (scenario.expected_assignments !== undefined) expect(table).toEqual(scenario.expected_assignments);
    for (const own of hosts.keys()) {
      const entries = table.filter((owner) => owner === own).length;
      expect(entries).toBeGreaterThanOrEqual(scenario.min_entries_per_host as number);
      expect(entries).toBeLessThanOrEqual(scenario.max_entries_per_host as number);
    }
    if (scenario.test.includes("Retry")) return;
    for (const [slot, owner] of table.entries()) expect(picker.pick(seededRandom(1), BigInt(slot + table.length))).toBe(hosts[owner]);
  });

  it.each(scenarios.filter(({ kind, test }) => kind === "ring_hash" && !test.includes("Locality") && test !== "BasicFailover"))("ring hash, $test", (scenario) => {
    const hosts = hostsOf(scenario);
    const picker = new RingHashPicker(hosts, scenario.minimum_ring_size as number, hash, scenario.maximum_ring_size);
    const { ring } = picker;
    expect(ring.length).toBe(scenario.size);
    for (const own of hosts.keys()) {
      const points = ring.filter(({ owner }) => owner === own).length;
      expect(points).toBeGreaterThanOrEqual(scenario.min_hashes_per_host as number);
      expect(points).toBeLessThanOrEqual(scenario.max_hashes_per_host as number);
    }
    for (const [at, expected] of (scenario.ring ?? []).entries()) {
      expect(ring[at]?.point).toBe(BigInt(expected.hash));
      expect((hosts[ring[at]?.owner as number] as Host).hashKey.endsWith(expected.host)).toBe(true);
    }
    for (const { hash_key: key, host_index: index } of scenario.lookups ?? []) expect(picker.pick(seededRandom(1), BigInt(key))?.index).toBe(index);
  });
});

const kinds: readonly [string, (hosts: readonly Host[]) => Picker<Host>][] = [
  ["ring hash", (hosts) => new RingHashPicker(hosts, 1024, hash)],
  ["Maglev", (hosts) => new MaglevPicker(hosts, 65_537, hash)],
];

describe.each(kinds)("%s", (_, build) => {
  /** The host of each of many keys. */
  const owners = (picker: Picker<Host>): number[] =>
    Array.from({ length: 10_000 }, (_key, key) => picker.pick(seededRandom(1), hash(Buffer.from(`key-${key}`), 0n))?.index ?? -1);

  it("gives a key the same host every time, in whatever order the hosts come", () => {
    const hosts = candidates(7);
    const shuffled = [5, 2, 0, 6, 1, 4, 3].map((index) => hosts[index] as Host);
    expect(owners(build(hosts))).toEqual(owners(build(hosts)));
    const before = owners(build(hosts));
    const same = owners(build(shuffled)).filter((owner, key) => owner === before[key]).length;
    expect(same).toBeGreaterThan(9_000);
  });

  it("moves the keys of a host that goes, and hardly any other", () => {
    const hosts = candidates(10);
    const before = owners(build(hosts));
    const after = owners(build(hosts.filter(({ index }) => index !== 3)));
    const moved = before.filter((owner, key) => owner !== 3 && owner !== after[key]).length;
    expect(after).not.toContain(3);
    // A ring of so many points in all gives those that stay some points more.
    expect(moved).toBeLessThan(1_200);
  });

  it("gives a host of twice the weight twice the keys", () => {
    const hosts = candidates(4).map((host) => (host.index === 0 ? { ...host, weight: 2 } : host));
    const own = owners(build(hosts)).filter((owner) => owner === 0).length;
    expect(own).toBeGreaterThan(3_200);
    expect(own).toBeLessThan(4_800);
  });

  it("draws where there is no hash, and picks nothing where there is nothing", () => {
    const random = seededRandom(7);
    const picker = build(candidates(3));
    expect(new Set(Array.from({ length: 100 }, () => picker.pick(random, null)?.index)).size).toBe(3);
    expect(build([]).pick(random, 1n)).toBeNull();
    expect(build(candidates(1)).pick(random, 1n)?.index).toBe(0);
  });
});
