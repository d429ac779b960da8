import type { Path } from "../resource.ts";
import type { LocalityLbSetting, ZoneAwareLbSetting } from "./destination-rule.ts";
import type { Report } from "./report.ts";

const TOPOLOGY = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/** What is wrong with `region/zone/subzone` as a pattern, or null: `*` stands for the rest, at the end only. */
function localityFault(locality: string): string | null {
  const parts = locality.split("/");
  if (parts.length > 3 || parts.some((part) => part === "")) return `must be region, region/zone or region/zone/subzone, not ${JSON.stringify(locality)}`;
  const star = parts.findIndex((part) => part.includes("*"));
  if (star < 0 || (parts[star] === "*" && star === parts.length - 1)) return null;
  return `may have "*" for its last part only, not ${JSON.stringify(locality)}`;
}

/** True when one of two patterns stands for places of the other: `a` for `a/b/c`. */
function overlaps(one: string, other: string): boolean {
  const [short, long] = [one, other].map((locality) => locality.split("/").filter((part) => part !== "*")).sort((a, b) => a.length - b.length) as [string[], string[]];
  return short.every((part, index) => part === long[index]);
}

function checkLocalities(localities: readonly string[], at: (index: number) => Path, report: Report): void {
  localities.forEach((locality, index) => {
    const fault = localityFault(locality);
    if (fault !== null) return report.error(at(index), fault);
    const other = localities.slice(0, index).find((candidate) => overlaps(candidate, locality));
    if (other !== undefined) report.error(at(index), `${JSON.stringify(locality)} overlaps with ${JSON.stringify(other)}`);
  });
}

function checkFailover(failover: LocalityLbSetting["failover"], path: Path, report: Report): void {
  failover.forEach((entry, index) => {
    const at = [...path, "failover", index];
    if (entry.from === entry.to) report.error(at, "from and to must differ");
    for (const field of ["from", "to"] as const) {
      const fault = /[*/]/.exec(entry[field] ?? "");
      if (fault !== null) report.error([...at, field], `must be the name of a region, without "${fault[0]}"`);
    }
  });
}

/** `localityLbSetting` of a DestinationRule or the mesh (`spec/04` 4.6, Istio's `validateLocalityLbSetting`). */
export function checkLocality(setting: LocalityLbSetting, path: Path, report: Report): void {
  const { distribute, failover, failoverPriority } = setting;
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0)) report.error([...path, "distribute"], "must not stand beside failover or failoverPriority");
  if (failover.length > 0 && failoverPriority.some((label) => label.startsWith(TOPOLOGY[0] as string))) {
    report.error([...path, "failoverPriority"], "must not name the region beside failover, which decides about regions");
  }
  checkLocalities(distribute.map((entry) => entry.from ?? ""), (index) => [...path, "distribute", index, "from"], report);
  distribute.forEach((entry, index) => {
    const at = [...path, "distribute", index, "to"];
    const names = Object.keys(entry.to ?? {});
    checkLocalities(names, (place) => [...at, names[place] as string], report);
    for (const [name, weight] of Object.entries(entry.to ?? {})) if (weight === 0) report.error([...at, name], "must not be 0; leave the entry out instead");
    const total = Object.values(entry.to ?? {}).reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) report.error(at, `the weights must add up to 100, not ${total}`);
  });
  checkFailover(failover, path, report);
}

/** `zoneAwareLbSetting`: failover between regions, and labels other than those of places. */
export function checkZoneAware(setting: ZoneAwareLbSetting, path: Path, report: Report): void {
  checkFailover(setting.failover, path, report);
  setting.failoverPriority.forEach((label, index) => {
    const name = label.split("=")[0] as string;
    if (TOPOLOGY.includes(name)) report.error([...path, "failoverPriority", index], `must not be ${JSON.stringify(name)}: zone awareness decides about places itself`);
  });
}
