import { isIP } from "node:net";
import type { Path } from "../resource.ts";
import { checkConnectionPool } from "./destination-rule-check.ts";
import { hostNameFault } from "./host-name.ts";
import type { Report } from "./report.ts";
import type { SidecarEgress, SidecarIngress, SidecarSpec } from "./sidecar.ts";

const NAMESPACE = /^(?:[*.~]|~?[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)$/;
const DEFAULT_ENDPOINT = /^(?:(?:127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]):(\d{1,5})|unix:\/\/[/@].+)$/;

function checkBind(bind: string | undefined, path: Path, report: Report): void {
  if (bind === undefined || bind === "" || isIP(bind) !== 0 || /^unix:\/\/[/@]./.test(bind)) return;
  report.error(path, `must be an IP address or unix:///path, not ${JSON.stringify(bind)}`);
}

function checkIngress(entry: SidecarIngress, path: Path, report: Report): void {
  checkBind(entry.bind, [...path, "bind"], report);
  checkConnectionPool(entry.connectionPool, [...path, "connectionPool"], report);
  checkIngressTls(entry, [...path, "tls"], report);
  if (entry.defaultEndpoint === undefined) return;
  const match = DEFAULT_ENDPOINT.exec(entry.defaultEndpoint);
  const port = match?.[1];
  if (match === null || (port !== undefined && (Number(port) < 1 || Number(port) > 65_535))) {
    report.error([...path, "defaultEndpoint"], "must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:///path");
  }
}

/** TLS of an ingress entry: files, and nothing that only a gateway has. */
function checkIngressTls({ tls, port }: SidecarIngress, path: Path, report: Report): void {
  if (tls === undefined) return;
  const { mode } = tls;
  if (mode !== "SIMPLE" && mode !== "MUTUAL") report.error([...path, "mode"], `must be SIMPLE or MUTUAL in a Sidecar, not ${mode}`);
  const protocol = (port.protocol ?? port.name ?? "").split("-", 1)[0]?.toUpperCase();
  if (protocol !== "HTTPS" && protocol !== "TLS") report.error(path, "needs a port whose protocol is HTTPS or TLS");
  if (tls.httpsRedirect === true) report.error([...path, "httpsRedirect"], "is for gateways");
  if (tls.subjectAltNames.length > 0) report.error([...path, "subjectAltNames"], "is for gateways");
  if (tls.credentialName !== undefined || tls.credentialNames.length > 0) report.error([...path, "credentialName"], "is for gateways: name the files");
  if (!tls.serverCertificate) report.error([...path, "serverCertificate"], "is required");
  if (!tls.privateKey) report.error([...path, "privateKey"], "is required");
  if (mode === "MUTUAL" && !tls.caCertificates) report.error([...path, "caCertificates"], "is required with mode MUTUAL");
}

function checkEgress(entry: SidecarEgress, path: Path, report: Report): void {
  checkBind(entry.bind, [...path, "bind"], report);
  if (entry.captureMode === "NONE" && entry.port === undefined) report.error([...path, "port"], "is required with captureMode NONE");
  if (entry.bind && entry.port === undefined) report.error([...path, "port"], "is required with bind");
  entry.hosts.forEach((host, index) => {
    const slash = host.indexOf("/");
    const at = [...path, "hosts", index];
    if (slash < 0) return report.error(at, `must be namespace/dnsName, such as "./${host}" or "*/${host}"`);
    const namespace = host.slice(0, slash);
    if (!NAMESPACE.test(namespace)) return report.error(at, `${JSON.stringify(namespace)} is neither a namespace, ".", "*" nor "~"`);
    const name = host.slice(slash + 1);
    const fault = name === "" ? "a host name, or \"*\", must follow the slash" : hostNameFault(name, { allowsWildcard: true });
    if (fault !== null) report.error(at, fault);
  });
}

/** The rules over several fields of a Sidecar (`spec/00` 0.5, Istio's `ValidateSidecar`). */
export function checkSidecar(spec: SidecarSpec, report: Report): void {
  spec.ingress.forEach((entry, index) => checkIngress(entry, ["ingress", index], report));
  spec.egress.forEach((entry, index) => checkEgress(entry, ["egress", index], report));
  checkConnectionPool(spec.inboundConnectionPool, ["inboundConnectionPool"], report);
  const ports = new Set<string>();
  spec.ingress.forEach((entry, index) => {
    const key = `${entry.bind ?? ""}|${entry.port.number}`;
    if (ports.has(key)) report.error(["ingress", index, "port", "number"], `port ${entry.port.number} is there twice`);
    ports.add(key);
  });
  const catchAll = spec.egress.filter((entry) => entry.port === undefined).length;
  if (catchAll > 1) report.error(["egress"], "only one egress entry may be without a port");
  if (spec.workloadSelector !== undefined && Object.keys(spec.workloadSelector.labels).length === 0) {
    report.warn(["workloadSelector"], "selects nothing in particular: without labels it stands for the whole namespace");
  }
}
