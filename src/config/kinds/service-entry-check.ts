import { isIP } from "node:net";
import { checkExportTo } from "./export-to.ts";
import type { Report } from "./report.ts";
import type { ServiceEntrySpec } from "./service-entry.ts";
import { checkEndpoint } from "./workload-entry-check.ts";

const PORT_NAME = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$/;

function checkHosts(spec: ServiceEntrySpec, report: Report): void {
  spec.hosts.forEach((host, index) => {
    if (host === "*") report.error(["hosts", index], "the wildcard \"*\" alone is not allowed");
    if (spec.hosts.indexOf(host) < index) report.error(["hosts", index], `${JSON.stringify(host)} is there twice`);
  });
}

function checkPorts(spec: ServiceEntrySpec, report: Report): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  spec.ports.forEach((port, index) => {
    if (!PORT_NAME.test(port.name)) report.error(["ports", index, "name"], `${JSON.stringify(port.name)} is not a port name (letters, digits and '-')`);
    if (names.has(port.name)) report.error(["ports", index, "name"], `port name ${JSON.stringify(port.name)} is there twice`);
    if (numbers.has(port.number)) report.error(["ports", index, "number"], `port ${port.number} is there twice`);
    names.add(port.name);
    numbers.add(port.number);
  });
}

function checkEndpoints(spec: ServiceEntrySpec, report: Report): void {
  const names = new Set(spec.ports.map((port) => port.name));
  spec.endpoints.forEach((endpoint, index) => {
    const path = ["endpoints", index];
    checkEndpoint(endpoint, path, report);
    for (const name of Object.keys(endpoint.ports ?? {})) {
      if (!names.has(name)) report.error([...path, "ports", name], `the service has no port named ${JSON.stringify(name)}`);
    }
    const address = endpoint.address ?? "";
    const isUnix = address.startsWith("unix://");
    if (isUnix && spec.ports.length > 1) report.error([...path, "address"], "a unix socket serves only one port, and the service has several");
    if (spec.resolution === "STATIC" && address !== "" && !isUnix && isIP(address) === 0) {
      report.error([...path, "address"], `must be an IP address with resolution STATIC, not ${JSON.stringify(address)}`);
    }
    if (spec.resolution !== "STATIC" && isUnix) report.error([...path, "address"], "a unix socket needs resolution STATIC");
  });
}

function checkResolution(spec: ServiceEntrySpec, report: Report): void {
  const hasEndpoints = spec.endpoints.length > 0;
  const isWildcard = spec.hosts.some((host) => host.startsWith("*"));
  if (hasEndpoints && spec.workloadSelector !== undefined) report.error(["workloadSelector"], "must not stand beside endpoints");
  switch (spec.resolution) {
    case "NONE":
      if (hasEndpoints) report.error(["endpoints"], "must not be set with resolution NONE, which forwards to the original destination");
      if (spec.workloadSelector !== undefined) report.warn(["workloadSelector"], "has no effect with resolution NONE");
      break;
    case "STATIC":
      if (spec.addresses.some((address) => address.includes("/")) && !hasEndpoints && spec.workloadSelector === undefined) {
        report.error(["addresses"], "a CIDR block needs resolution NONE, or endpoints");
      }
      break;
    case "DNS":
    case "DNS_ROUND_ROBIN":
      if (!hasEndpoints && isWildcard) report.error(["hosts"], `a wildcard cannot be resolved; resolution ${spec.resolution} needs a full host name, or endpoints`);
      if (spec.addresses.some((address) => address.includes("/")) && !hasEndpoints) report.error(["addresses"], `a CIDR block needs resolution NONE or STATIC, or endpoints`);
      if (spec.resolution === "DNS_ROUND_ROBIN" && spec.endpoints.length > 1) report.error(["endpoints"], "resolution DNS_ROUND_ROBIN takes one endpoint at most");
      break;
    case "DYNAMIC_DNS":
      if (hasEndpoints) report.error(["endpoints"], "must not be set with resolution DYNAMIC_DNS");
      if (spec.addresses.length > 0) report.error(["addresses"], "must not be set with resolution DYNAMIC_DNS");
      if (!spec.hosts.every((host) => host.startsWith("*"))) report.error(["hosts"], "resolution DYNAMIC_DNS takes wildcard hosts only");
      spec.ports.forEach((port, index) => {
        if (!/^(?:http|https|http2|grpc|grpc-web|tls)$/i.test(port.protocol ?? "")) report.error(["ports", index, "protocol"], "resolution DYNAMIC_DNS needs an HTTP or TLS protocol");
      });
      break;
  }
}

/** The rules over several fields of a ServiceEntry (`spec/00` 0.4, Istio's `ValidateServiceEntry`). */
export function checkServiceEntry(spec: ServiceEntrySpec, report: Report): void {
  checkHosts(spec, report);
  checkPorts(spec, report);
  checkEndpoints(spec, report);
  checkResolution(spec, report);
  checkExportTo(spec.exportTo, report, { allowsNone: true });
}
