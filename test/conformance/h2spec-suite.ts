import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort } from "../integration/free-port.ts";
import { meshClient } from "../integration/mesh-client.ts";
import { networking, type Resource, service, yamlOf } from "../integration/mesh-resources.ts";
import { STRICT } from "../integration/proxy-pair.ts";
import { ProxyUnderTest, rawServer } from "../integration/proxy-under-test.ts";
import { TestApplication } from "../integration/test-application.ts";
import { H2SPEC, versionOf } from "./peers.ts";
import { runProgram } from "./run-program.ts";
import type { CaseResult, SuiteReport } from "./suite-report.ts";

/** Long enough for a slow machine; a case that passes does not wait for it. */
const CASE_TIMEOUT_SECONDS = 5;
const RUN_TIMEOUT_MS = 100_000;

/** A case that a right answer does not satisfy: it may fail in this way and no other. */
interface Exclusion {
  readonly id: string;
  /** What h2spec then reports. */
  readonly seen: RegExp;
  readonly reason: string;
}

const EXCLUSIONS: Readonly<Record<"plaintext" | "outbound", readonly Exclusion[]>> = {
  plaintext: [{
    id: "http2/3.5 Sends invalid connection preface",
    seen: /looked like an HTTP\/1\.1 header/,
    reason: "the port takes both versions and what comes is not HTTP/2: it is answered 400 in HTTP/1.1, and the connection is closed; h2spec reads the answer as a broken frame",
  }],
  outbound: [{
    id: "http2/3.5 Sends invalid connection preface",
    seen: /connection reset by peer/,
    reason: "what comes is no HTTP at all, and such a listener has nowhere to pass it: the connection is reset; h2spec takes a reset for the end of a connection too, but this version compares the bare error number, which Go wraps",
  }],
};

/** What an Istio sidecar offers for HTTP/2 (spec/05 5.4). */
const ISTIO_HTTP2 = ["istio-h2", "istio", "h2"];

/** h2spec with its strict cases against both listeners of a sidecar: by prior knowledge, and inbound by mesh mTLS too. */
export async function runH2spec(file: string): Promise<SuiteReport[]> {
  const application = await TestApplication.start("reviews");
  const port = await freePort();
  const proxy = await ProxyUnderTest.start({ yaml: yamlFor(port, application.port), workload: { serviceAccount: "reviews", labels: { app: "reviews" } } });
  proxy.destination = { address: "127.0.0.1", port: application.port };
  const bridge = await meshBridge(proxy.inboundPort);
  const run = async (against: string, to: number, exclusions: readonly Exclusion[]): Promise<SuiteReport> => (
    { suite: "h2spec", version: versionOf(file, H2SPEC.module), against, results: await cases(file, to, exclusions) });
  try {
    const outbound = await run("outbound listener of an HTTP service, `captureMode: NONE`, by prior knowledge", port, EXCLUSIONS.outbound);
    const plaintext = await run("inbound listener, port declared HTTP, PERMISSIVE, by prior knowledge", proxy.inboundPort, EXCLUSIONS.plaintext);
    await proxy.apply(yamlFor(port, application.port, STRICT));
    return [await run("inbound listener, STRICT, mesh mTLS with ALPN `h2`", bridge.port, []), plaintext, outbound];
  } finally {
    bridge.close();
    proxy.stop();
    application.stop();
  }
}

function yamlFor(port: number, applicationPort: number, ...more: readonly Resource[]): string {
  return yamlOf(
    // h2spec names its peer by address, and so is the service found.
    service({ name: "reviews", clusterIP: "127.0.0.1", port, endpoints: [{ port: applicationPort }] }),
    networking("Sidecar", "default", {
      egress: [{ port: { number: port, protocol: "HTTP", name: "http" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] }],
    }), more);
}

/** Carries what comes to it over mesh mTLS to `port`: h2spec has no client certificate. */
function meshBridge(port: number): ReturnType<typeof rawServer> {
  return rawServer((socket) => {
    const secured = meshClient(connect({ port, host: "127.0.0.1", allowHalfOpen: true }), { alpn: ISTIO_HTTP2 });
    secured.on("error", () => socket.destroy());
    socket.on("close", () => secured.destroy());
    socket.pipe(secured);
    secured.pipe(socket);
  });
}

async function cases(file: string, port: number, exclusions: readonly Exclusion[]): Promise<CaseResult[]> {
  const folder = mkdtempSync(join(tmpdir(), "h2spec-"));
  const report = join(folder, "report.xml");
  try {
    const args = ["--host", "127.0.0.1", "--port", String(port), "--strict", "--timeout", String(CASE_TIMEOUT_SECONDS), "--junit-report", report];
    const { code, output } = await runProgram(file, args, RUN_TIMEOUT_MS);
    if (code === -1) throw new Error(`h2spec did not come to an end:\n${output}`);
    return parseReport(readFileSync(report, "utf8")).map((result) => explain(result, exclusions));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** h2spec's JUnit report: a `testcase` is empty when it passed, or holds `error`, `failure` or `skipped`. */
export function parseReport(xml: string): CaseResult[] {
  const found = xml.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*>([\s\S]*?)<\/testcase>/g);
  return [...found].map(([, section = "", title = "", content = ""]) => {
    const isSkipped = content.includes("<skipped");
    const outcome = isSkipped ? "skipped" : (content.trim() === "" ? "passed" : "failed");
    return { id: `${section} ${plain(title)}`, outcome, detail: plain(content).trim().replaceAll(/\s*\n\s*/g, "; ") };
  });
}

function plain(xml: string): string {
  return xml.replaceAll(/<[^>]*>/g, "").replaceAll("&#34;", '"').replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function explain(result: CaseResult, exclusions: readonly Exclusion[]): CaseResult {
  const exclusion = exclusions.find(({ id, seen }) => id === result.id && seen.test(result.detail));
  return result.outcome === "failed" && exclusion !== undefined ? { ...result, outcome: "excluded", detail: exclusion.reason } : result;
}
