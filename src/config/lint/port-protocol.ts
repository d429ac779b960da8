import { PORTS_TAKEN_FOR_TCP, classOf, protocolOfPort } from "../compile/port-protocol.ts";
import type { Resource } from "../resource.ts";
import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** A port of a Service or a ServiceEntry, as its author declared it. */
interface DeclaredPort {
  readonly port: number;
  readonly name: string;
  /** `appProtocol`, or the ServiceEntry's `protocol`; empty where there is none. */
  readonly declared: string;
  /** Number of the container port, where it is one. */
  readonly targetPort: number | null;
}

/** On these, among the ports that count as TCP by their number, a client speaks first (DNS, MongoDB). */
const CLIENT_FIRST: ReadonlySet<number> = new Set([53, 27017]);

/** Ports whose protocol has to be guessed, and ports on which guessing, or HTTP, would keep both sides waiting. */
export function portProtocols(model: LintModel): Finding[] {
  const findings: Finding[] = [];
  for (const service of model.all("Service")) {
    if (service.spec.type === "ExternalName") continue;
    service.spec.ports.forEach((port, index) => {
      if (port.protocol !== "TCP") return;
      const targetPort = typeof port.targetPort === "number" ? port.targetPort : null;
      const found = judge({ port: port.port, name: port.name, declared: port.appProtocol ?? "", targetPort }, "appProtocol");
      if (found !== null) findings.push(at(service, index, found));
    });
  }
  for (const entry of model.all("ServiceEntry")) {
    entry.spec.ports.forEach((port, index) => {
      const found = judge({ port: port.number, name: port.name, declared: port.protocol ?? "", targetPort: port.targetPort ?? null }, "protocol");
      if (found !== null) findings.push(at(entry, index, found));
    });
  }
  return findings;
}

type Verdict = Pick<Finding, "lint" | "message">;

function at(resource: Resource, index: number, verdict: Verdict): Finding {
  return { ...verdict, resource, path: ["spec", "ports", index] };
}

function judge({ port, name, declared, targetPort }: DeclaredPort, field: string): Verdict | null {
  const appProtocol = declared === "" ? undefined : declared;
  const protocol = protocolOfPort({ appProtocol, name, port });
  const isDeclared = protocolOfPort({ appProtocol, name, port: 0 }) !== "AUTO";
  const advice = (word: string): string => `write ${field}: ${word}, or name it ${JSON.stringify(prefixed(word, name))}`;
  const speaking = [port, targetPort].find((number) => number !== null && isServerFirst(number)) ?? null;
  if (isDeclared) {
    if (classOf(protocol) !== "http" || !isServerFirst(port)) return null;
    return { lint: "server-first-port", message: `port ${port} is declared ${protocol}, but on that port the server speaks first: clients would wait for a greeting that is never passed on; ${advice("tcp")}` };
  }
  if (speaking !== null) {
    const reason = speaking === port
      ? `port ${port} counts as TCP because of its number alone, and Istio may guess at it: there the server speaks first, so that the guess waits for its timeout`
      : `the protocol of port ${port} is guessed from what its client says, but on its target port ${speaking} the server speaks first`;
    return { lint: "server-first-port", message: `${reason}; ${advice(port === 3306 || targetPort === 3306 ? "mysql" : "tcp")}` };
  }
  if (protocol !== "AUTO") return null;
  const why = appProtocol !== undefined ? `${field} ${JSON.stringify(declared)} is none that is known`
    : name === "" ? "nothing declares it" : `its name ${JSON.stringify(name)} begins with none that is known`;
  return { lint: "undeclared-protocol", message: `the protocol of port ${port} is guessed from the first bytes of each connection, since ${why}; ${advice("http")} (or tcp, grpc, ...)` };
}

function isServerFirst(port: number): boolean {
  return PORTS_TAKEN_FOR_TCP.has(port) && !CLIENT_FIRST.has(port);
}

function prefixed(word: string, name: string): string {
  return name === "" ? word : `${word}-${name}`;
}
