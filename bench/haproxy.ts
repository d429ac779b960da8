import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ECHOED, PROBE, accepts } from "./application.ts";
import { Child, PROXY_CPU, findProgram, freePort } from "./child.ts";
import type { Arrangement, Context, Peer, Route } from "./peer.ts";

const BASE = `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
`;

/** HAProxy as a sidecar: one thread, connections reused, HTTP/1.1 hop, certificates required and verified on both sides. */
export const haproxy: Peer = peer("haproxy", ["plain", "pair"], 1);

/** The same with an HTTP/2 hop. */
export const haproxyHttp2: Peer = peer("haproxy-h2", ["pair"], 2);

function peer(name: string, arrangements: readonly Arrangement[], hopVersion: 1 | 2): Peer {
  return {
    name,
    arrangements,
    absence() {
      return findProgram("haproxy") === null ? "haproxy is not installed (Debian: apt-get install haproxy)" : null;
    },
    version() {
      return execFileSync(findProgram("haproxy") as string, ["-v"], { encoding: "utf8" }).split(" ")[2] ?? "unknown";
    },
    start(arrangement, context, children) {
      return arrangement === "plain" ? startPlain(context, children) : startPair(hopVersion, context, children);
    },
  };
}

async function startPlain(context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const proxy = await startOne("plain", `bind 127.0.0.1:${port}`, `server app 127.0.0.1:${context.applicationPort}`, context, children);
  return { port, hops: [proxy], mutualTlsPort: null, expected: [] };
}

async function startPair(hopVersion: 1 | 2, context: Context, children: Child[]): Promise<Route> {
  const port = await freePort();
  const tlsPort = await freePort();
  const ca = join(context.certificates, "root-cert.pem");
  const tls = (side: string) => `ssl crt ${certificateAndKey(context, side)} ca-file ${ca} verify required`;
  // The peer's identity and the hop's protocol are told only to the check, so that no request pays for it that is measured.
  const toCheck = (field: string, value: string) => `\n  http-request set-header ${field} ${value} if { req.hdr(${PROBE}) -m found }`;
  const inbound = await startOne("inbound",
    `bind 127.0.0.1:${tlsPort} ${tls("server")}${hopVersion === 2 ? " alpn h2,http/1.1" : ""}${toCheck("x-peer-hash", "%[ssl_c_sha1,hex]")}${toCheck("x-hop-version", "%[fc_http_major]")}`,
    `server app 127.0.0.1:${context.applicationPort}`, context, children);
  const outbound = await startOne("outbound", `bind 127.0.0.1:${port}`,
    `server inbound 127.0.0.1:${tlsPort} ${tls("client")}${hopVersion === 2 ? " alpn h2" : ""}`, context, children);
  const leaf = new X509Certificate(readFileSync(join(context.certificates, "bench.client", "cert-chain.pem")));
  const expected = [
    { field: ECHOED["x-peer-hash"] as string, value: leaf.fingerprint.replaceAll(":", "") },
    { field: ECHOED["x-hop-version"] as string, value: String(hopVersion) },
  ];
  return { port, hops: [outbound, inbound], mutualTlsPort: tlsPort, expected };
}

async function startOne(name: string, frontend: string, server: string, context: Context, children: Child[]): Promise<Child> {
  const file = join(context.folder, `${name}.cfg`);
  writeFileSync(file, `${BASE}frontend f\n  ${frontend}\n  default_backend b\nbackend b\n  ${server}\n`);
  const child = new Child(`haproxy ${name}`, [findProgram("haproxy") as string, "-db", "-f", file], { cpu: PROXY_CPU });
  children.push(child);
  const port = Number(/:(\d+)/.exec(frontend)?.[1]);
  await child.waitUntil(() => accepts(port));
  return child;
}

/** HAProxy wants the chain and the key in one file. */
function certificateAndKey(context: Context, side: string): string {
  const folder = join(context.certificates, `bench.${side}`);
  const file = join(context.folder, `${side}.pem`);
  writeFileSync(file, readFileSync(join(folder, "cert-chain.pem"), "latin1") + readFileSync(join(folder, "key.pem"), "latin1"), { mode: 0o600 });
  return file;
}
