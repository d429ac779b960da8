import { isIP } from "node:net";
import type { Path } from "../resource.ts";
import { hostNameFault } from "./host-name.ts";
import type { Report } from "./report.ts";
import type { WorkloadEntrySpec } from "./workload-entry.ts";

const PORT_NAME = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,60}[a-zA-Z0-9])?$/;

/** A WorkloadEntry, or one of `ServiceEntry.endpoints`; `path` is its place in the spec. */
export function checkEndpoint(entry: WorkloadEntrySpec, path: Path, report: Report): void {
  const address = entry.address ?? "";
  for (const name of Object.keys(entry.ports ?? {})) {
    if (!PORT_NAME.test(name)) report.error([...path, "ports", name], `${JSON.stringify(name)} is not a port name (letters, digits and '-')`);
  }
  if (address === "") {
    if (!entry.network) report.error([...path, "address"], "is required");
    return;
  }
  if (address.startsWith("unix://")) {
    if (!/^unix:\/\/[/@]./.test(address) || address.endsWith("/")) report.error([...path, "address"], "must be unix:// followed by an absolute path of a socket");
    if (Object.keys(entry.ports ?? {}).length > 0) report.error([...path, "ports"], "must not be set for a unix socket");
    return;
  }
  if (isIP(address) !== 0) return;
  const fault = hostNameFault(address, { allowsWildcard: false });
  if (fault !== null) report.error([...path, "address"], `must be an IP address, a host name or unix:///path; ${fault}`);
}

export function checkWorkloadEntry(spec: WorkloadEntrySpec, report: Report): void {
  checkEndpoint(spec, [], report);
}
