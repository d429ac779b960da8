import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";

import type { DevelopmentCa, IssuedCertificate } from "../../src/identity/development-ca.ts";
import { freePort } from "./free-port.ts";
import { ISTIO_HTTP } from "./mesh-client.ts";
import { networking, portOf, type Resource, service } from "./mesh-resources.ts";
import { RunningProxy } from "./running-proxy.ts";

export const PROTOCOLS = ["HTTP", "HTTP2", "TCP"] as const;
export type PodName = "reviews" | "productpage";

/** A port for each protocol. */
export type PortsOf = Readonly<Record<(typeof PROTOCOLS)[number], number>>;

/** How certificates come into the folder of a proxy. */
export type Delivery = "symlinks, as Kubernetes mounts a Secret" | "files, one after the other";

/** What a client kept of an earlier connection. */
export interface EarlierSession {
  ticket: Buffer | null;
}

interface CertificatesPage {
  readonly certificates: readonly { readonly generation: number }[];
  readonly bundles: readonly { readonly roots: readonly unknown[] }[];
}

/** A pod of a rotation soak: applications for HTTP/1 with WebSocket, HTTP/2 and bytes, and a real sidecar that both calls and is called. */
export class RotationPod {
  readonly name: PodName;
  readonly spiffeId: string;
  /** What others call it at. */
  readonly ingress: PortsOf;
  /** Where it calls the other pod. */
  readonly egress: PortsOf;
  readonly #folder = mkdtempSync(join(tmpdir(), "outrider-rotation-"));
  readonly #delivery: Delivery;
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();
  #proxy: RunningProxy | null = null;
  #writes = 0;

  private constructor(name: PodName, delivery: Delivery, ingress: PortsOf, egress: PortsOf) {
    this.name = name;
    this.spiffeId = `spiffe://cluster.local/ns/default/sa/${name}`;
    this.#delivery = delivery;
    this.ingress = ingress;
    this.egress = egress;
  }

  static async create(name: PodName, delivery: Delivery): Promise<RotationPod> {
    return new RotationPod(name, delivery, await freePorts(), await freePorts());
  }

  get proxy(): RunningProxy {
    if (this.#proxy === null) throw new Error(`${this.name} was not started`);
    return this.#proxy;
  }

  /** Starts applications and sidecar; there are certificates, and the other pod has its ports. */
  async start(other: RotationPod): Promise<void> {
    const applications = await this.#startApplications();
    const sidecar = networking("Sidecar", this.name, {
      workloadSelector: { labels: { app: this.name } },
      ingress: PROTOCOLS.map((protocol) => ({
        port: { number: this.ingress[protocol], protocol, name: protocol.toLowerCase() }, bind: "127.0.0.1", defaultEndpoint: `127.0.0.1:${applications[protocol]}`,
      })),
      egress: PROTOCOLS.map((protocol) => ({
        port: { number: this.egress[protocol], protocol, name: protocol.toLowerCase() }, bind: "127.0.0.1", captureMode: "NONE",
        hosts: [protocol === "TCP" ? `./${other.name}-tcp.default.svc.cluster.local` : "./*"],
      })),
    });
    const strict: Resource = { apiVersion: "security.istio.io/v1", kind: "PeerAuthentication", metadata: { name: "default", namespace: "default" }, spec: { mtls: { mode: "STRICT" } } };
    const resources = [sidecar, strict, ...this.#services(other), ...other.#services(this)];
    this.#proxy = await RunningProxy.start({
      folder: this.#folder, hasCertificates: false, files: { "all.yaml": resources.map((each) => JSON.stringify(each)).join("\n---\n") },
      environment: { POD_NAME: `${this.name}-1`, SERVICE_ACCOUNT: this.name, POD_LABELS: `app=${this.name}` },
    });
  }

  /** Delivers a certificate and the roots that are believed. */
  certify(issued: IssuedCertificate, roots: string): void {
    const certs = join(this.#folder, "certs");
    mkdirSync(certs, { recursive: true });
    const files = { "cert-chain.pem": issued.certificateChainPem, "key.pem": issued.privateKeyPem, "root-cert.pem": roots };
    this.#writes++;
    if (this.#delivery.startsWith("files")) {
      for (const [name, text] of Object.entries(files)) writeFileSync(join(certs, name), text);
      return;
    }
    const version = `..v${this.#writes}`;
    mkdirSync(join(certs, version));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(certs, version, name), text);
    symlinkSync(version, join(certs, "..data_tmp"));
    renameSync(join(certs, "..data_tmp"), join(certs, "..data"));
    if (this.#writes === 1) for (const name of Object.keys(files)) symlinkSync(join("..data", name), join(certs, name));
    else rmSync(join(certs, `..v${this.#writes - 1}`), { recursive: true });
  }

  /** Number of the certificate in force. */
  async generation(): Promise<number> {
    const page = JSON.parse((await this.proxy.page("/certs")).text) as CertificatesPage;
    return page.certificates[0]?.generation ?? 0;
  }

  /** Whether a request under a certificate of `authority` is answered; the session of an earlier connection is offered where there is one. */
  letsIn(authority: DevelopmentCa, session: EarlierSession): Promise<boolean> {
    const issued = authority.issue("spiffe://cluster.local/ns/default/sa/outsider");
    return new Promise((resolve) => {
      const socket = connectTls({
        host: "127.0.0.1", port: this.ingress.HTTP, rejectUnauthorized: false, ALPNProtocols: [...ISTIO_HTTP], cert: issued.certificateChainPem, key: issued.privateKeyPem,
        ...(session.ticket === null ? {} : { session: session.ticket }),
      });
      let received = "";
      socket.on("session", (ticket: Buffer) => (session.ticket = ticket));
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        if (received.endsWith(this.name)) socket.destroy();
      });
      socket.on("close", () => resolve(received.startsWith("HTTP/1.1 200")));
      socket.on("secureConnect", () => session.ticket ??= socket.getSession() ?? null);
      socket.write("GET / HTTP/1.1\r\nHost: pod\r\n\r\n");
    });
  }

  /** File descriptors and resident bytes of the sidecar. */
  usage(): { readonly descriptors: number; readonly residentBytes: number } {
    const folder = `/proc/${this.proxy.program.pid}`;
    const pages = Number(readFileSync(join(folder, "statm"), "latin1").split(" ")[1]);
    return { descriptors: readdirSync(join(folder, "fd")).length, residentBytes: pages * 4096 };
  }

  /** Sum of a metric over the series whose labels have all of `parts`. */
  async metric(name: string, ...parts: readonly string[]): Promise<number> {
    const { text } = await this.proxy.page("/stats/prometheus");
    const lines = text.split("\n").filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && parts.every((part) => line.includes(part)));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  async stop(): Promise<void> {
    await this.#proxy?.stop();
    for (const server of this.#servers) server.close();
    for (const socket of this.#open) socket.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** As `caller` sees them: each at the port where it has its listener for it. */
  #services(caller: RotationPod): Resource[] {
    return PROTOCOLS.flatMap((protocol, at) => service({
      name: protocol === "HTTP" ? this.name : `${this.name}-${protocol.toLowerCase()}`, clusterIP: `10.96.${this.name.length}.${at + 1}`, port: caller.egress[protocol],
      portName: protocol.toLowerCase(), targetPort: this.ingress[protocol], selector: { app: this.name },
      endpoints: [{ port: this.ingress[protocol], isMesh: true, serviceAccount: this.name }],
    }));
  }

  async #startApplications(): Promise<PortsOf> {
    const http = createHttpServer((request, response) => {
      request.resume();
      request.on("end", () => response.end(this.name));
    });
    http.on("upgrade", (_request, socket: Socket, first: Buffer) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      socket.write(first);
      socket.pipe(socket);
    });
    const http2 = createHttp2Server((request, response) => request.pipe(response));
    const tcp = createTcpServer((socket) => socket.pipe(socket));
    return { HTTP: await this.#listen(http), HTTP2: await this.#listen(http2 as unknown as Server), TCP: await this.#listen(tcp) };
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server);
    server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => this.#open.delete(socket));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    return portOf(server);
  }
}

async function freePorts(): Promise<PortsOf> {
  return { HTTP: await freePort(), HTTP2: await freePort(), TCP: await freePort() };
}
