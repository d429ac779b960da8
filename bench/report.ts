import type { Memory } from "./child.ts";
import type { Arrangement } from "./peer.ts";

/** One measurement: one peer, one arrangement, one number of connections. */
export interface Sample {
  /** CPU microseconds per request of each hop, in the order a request passes them. */
  readonly cpuMicros: readonly number[];
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50: number;
  readonly p99: number;
}

export interface Row {
  /** `direct`: the application without a proxy. */
  readonly peer: string;
  readonly arrangement: Arrangement | "direct";
  readonly connections: number;
  readonly samples: readonly Sample[];
}

export interface MemoryRow {
  readonly peer: string;
  readonly process: string;
  readonly idle: Memory;
  readonly loaded: Memory;
}

/** What `--json` writes and `--baseline` reads. */
export interface Figures {
  readonly machine: { readonly cpus: number; readonly cpuModel: string; readonly kernel: string };
  readonly load: string;
  readonly application: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
  readonly memory: readonly MemoryRow[];
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Middle, least and greatest of at least one figure. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] as number;
  const middle = Math.floor(sorted.length / 2);
  return { median: sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2, min: at(0), max: at(sorted.length - 1) };
}

/** CPU microseconds per request and hop: the mean over the hops, over the rounds. */
export function cpuPerHop(row: Row): Spread {
  return spread(row.samples.map(({ cpuMicros }) => cpuMicros.reduce((sum, hop) => sum + hop, 0) / cpuMicros.length));
}

const one = (value: number) => value.toFixed(1);
const range = ({ median, min, max }: Spread) => `${one(median)} (${one(min)}-${one(max)})`;

function table(header: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) => Math.max(title.length, ...lines.map((line) => (line[column] ?? "").length)));
  const row = (cells: readonly string[]) => cells.map((cell, column) => (column < 3 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number))).join("  ");
  return [row(header), ...lines.map(row)].map((line) => line.trimEnd()).join("\n");
}

/** The figures for a reader. Medians over the rounds, least and greatest in brackets. */
export function report(figures: Figures): string {
  const find = (peer: string, arrangement: string, connections: number) =>
    figures.rows.find((row) => row.peer === peer && row.arrangement === arrangement && row.connections === connections);
  const lines = figures.rows.map((row) => {
    const { peer, arrangement, connections, samples } = row;
    const direct = find("direct", "direct", connections);
    const p50 = spread(samples.map((sample) => sample.p50)).median;
    const p99 = spread(samples.map((sample) => sample.p99)).median;
    const hops = (samples[0]?.cpuMicros ?? []).map((_, hop) => one(spread(samples.map((sample) => sample.cpuMicros[hop] as number)).median));
    const times = (other: Row | undefined) => other === undefined || other === row ? "" : (cpuPerHop(row).median / cpuPerHop(other).median).toFixed(2);
    const isProxy = arrangement !== "direct";
    const toHaproxy = isProxy ? times(find("haproxy", arrangement, connections)) : "";
    const toEnvoy = isProxy ? times(find("envoy", arrangement, connections)) : "";
    const toOwn = peer === "outrider" ? times(find("outrider-http1", arrangement, connections)) : "";
    const added = direct === undefined || direct === row ? "" : (p50 - spread(direct.samples.map((sample) => sample.p50)).median).toFixed(3);
    return [arrangement, String(connections), peer, isProxy ? range(cpuPerHop(row)) : "", hops.length > 1 ? hops.join(" / ") : "", toHaproxy, toEnvoy, toOwn,
      p50.toFixed(3), added, p99.toFixed(3), spread(samples.map((sample) => sample.requestsPerSecond)).median.toFixed(0)];
  });
  const header = ["route", "c", "peer", "CPU us/request/hop", "outbound / inbound", "x HAProxy", "x Envoy", "x own HTTP/1", "p50 ms", "added", "p99 ms", "req/s"];
  const memory = figures.memory.map(({ peer, process: name, idle, loaded }) =>
    [peer, name, "", ...[idle, loaded].flatMap(({ rssKb, pssKb, anonKb }) => [rssKb, pssKb, anonKb].map((kb) => one(kb / 1024)))]);
  const memoryHeader = ["peer", "process", "", "idle RSS", "PSS", "private MB", "loaded RSS", "PSS", "private MB"];
  return `${table(header, lines)}\n\n${table(memoryHeader, memory)}\n`;
}

/** Each row beside the same row of an earlier run. The ratio to HAProxy counts: it survives another machine. */
export function comparison(figures: Figures, baseline: Figures): string {
  const ratio = ({ rows }: Figures, row: Row) => {
    const same = (peer: string) => rows.find((other) => other.peer === peer && other.arrangement === row.arrangement && other.connections === row.connections);
    const own = same(row.peer);
    const peer = same("haproxy");
    return { cpu: own === undefined ? null : cpuPerHop(own).median, ratio: own === undefined || peer === undefined ? null : cpuPerHop(own).median / cpuPerHop(peer).median };
  };
  const lines = figures.rows.filter((row) => row.peer.startsWith("outrider")).map((row) => {
    const [before, now] = [ratio(baseline, row), ratio(figures, row)];
    const change = before.cpu === null || now.cpu === null ? "" : `${(((now.cpu - before.cpu) / before.cpu) * 100).toFixed(1)} %`;
    const show = (value: number | null, digits: number) => value?.toFixed(digits) ?? "-";
    return [row.arrangement, String(row.connections), row.peer, show(before.cpu, 1), show(now.cpu, 1), change, show(before.ratio, 2), show(now.ratio, 2)];
  });
  return `${table(["route", "c", "peer", "us before", "us now", "change", "x HAProxy before", "now"], lines)}\n`;
}
