import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";

import { freePort } from "../integration/free-port.ts";
import { networking, service, yamlOf } from "../integration/mesh-resources.ts";
import { STRICT } from "../integration/proxy-pair.ts";
import { eventually, ProxyUnderTest } from "../integration/proxy-under-test.ts";
import { GRPC_CLIENT, versionOf } from "./peers.ts";
import { runProgram } from "./run-program.ts";
import type { CaseResult, SuiteReport } from "./suite-report.ts";

const CASE_TIMEOUT_MS = 60_000;

/** Asks a client for the balancer that reads the server's load reports, which the ORCA cases are about. */
const ORCA = '--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}';
const SOAK = ["--soak_iterations=50", "--soak_num_threads=5", "--soak_overall_timeout_seconds=50", "--soak_per_iteration_max_acceptable_latency_ms=10000"];

/** Cases of the interop client by name, with what else it must be told. */
export const GRPC_CASES: ReadonlyMap<string, readonly string[]> = new Map([
  ["empty_unary", []], ["large_unary", []], ["client_streaming", []], ["server_streaming", []], ["ping_pong", []], ["empty_stream", []],
  ["timeout_on_sleeping_server", []], ["cancel_after_begin", []], ["cancel_after_first_response", []], ["status_code_and_message", []],
  ["special_status_message", []], ["custom_metadata", []], ["unimplemented_method", []], ["unimplemented_service", []],
  ["orca_per_rpc", [ORCA]], ["orca_oob", [ORCA]], ["rpc_soak", SOAK], ["channel_soak", SOAK],
]);

const CREDENTIALS = "tries the credentials of one cloud provider, which no proxy sees";
const NO_SERVER_ID = "wants a server that tells its id, which this one does not; it fails in the same way without a proxy";
const NOT_USABLE: readonly CaseResult[] = [{ id: "pick_first_unary", outcome: "excluded", detail: NO_SERVER_ID }, ...[
  "compute_engine_creds", "service_account_creds", "jwt_token_creds", "per_rpc_creds", "oauth2_auth_token", "google_default_credentials",
  "compute_engine_channel_credentials",
].map((id): CaseResult => ({ id, outcome: "excluded", detail: CREDENTIALS }))];

/**
 * grpc-go's interop client calls its interop server through both sidecars: client, the caller's outbound listener, mesh
 * mTLS under STRICT, the callee's inbound listener, server.
 */
export class GrpcInterop {
  readonly #clientFile: string;
  readonly #server: ChildProcess;
  readonly #port: number;
  readonly caller: ProxyUnderTest;
  readonly callee: ProxyUnderTest;

  private constructor(clientFile: string, server: ChildProcess, port: number, caller: ProxyUnderTest, callee: ProxyUnderTest) {
    this.#clientFile = clientFile;
    this.#server = server;
    this.#port = port;
    this.caller = caller;
    this.callee = callee;
  }

  static async start(clientFile: string, serverFile: string): Promise<GrpcInterop> {
    const [serverPort, port] = [await freePort(), await freePort()];
    const server = spawn(serverFile, [`--port=${serverPort}`], { stdio: "ignore" });
    await eventually(() => accepts(serverPort), "the interop server listens");
    const yamlFor = (endpointPort: number): string => yamlOf(
      service({ name: "interop", clusterIP: "127.0.0.1", port, portName: "grpc", targetPort: serverPort, endpoints: [{ port: endpointPort, isMesh: true }] }),
      networking("Sidecar", "default", {
        workloadSelector: { labels: { app: "client" } },
        egress: [{ port: { number: port, protocol: "GRPC", name: "grpc" }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] }],
      }), STRICT);
    const callee = await ProxyUnderTest.start({ yaml: yamlFor(serverPort), workload: { podName: "interop-1", serviceAccount: "interop", labels: { app: "interop" } } });
    callee.destination = { address: "127.0.0.1", port: serverPort };
    const caller = await ProxyUnderTest.start({ yaml: yamlFor(callee.inboundPort), workload: { serviceAccount: "client", labels: { app: "client" } } });
    return new GrpcInterop(clientFile, server, port, caller, callee);
  }

  /** Runs one case of the client. */
  async run(id: string): Promise<CaseResult> {
    const args = ["--server_host=127.0.0.1", `--server_port=${this.#port}`, `--test_case=${id}`, ...GRPC_CASES.get(id) ?? []];
    const { code, output } = await runProgram(this.#clientFile, args, CASE_TIMEOUT_MS);
    const last = output.trimEnd().split("\n").at(-1) ?? "";
    return code === 0 ? { id, outcome: "passed", detail: "" } : { id, outcome: "failed", detail: `exit code ${code}: ${last}` };
  }

  async stop(): Promise<void> {
    this.caller.stop();
    this.callee.stop();
    const isGone = once(this.#server, "exit");
    this.#server.kill("SIGKILL");
    await isGone;
  }
}

/** All cases, one after the other. */
export async function runGrpcInterop(clientFile: string, serverFile: string): Promise<SuiteReport> {
  const interop = await GrpcInterop.start(clientFile, serverFile);
  const results: CaseResult[] = [];
  try {
    for (const id of GRPC_CASES.keys()) results.push(await interop.run(id));
  } finally {
    await interop.stop();
  }
  return {
    suite: "grpc-go interop", version: versionOf(clientFile, GRPC_CLIENT.module), against: "client and server through both sidecars, mesh mTLS between, STRICT",
    results: [...results, ...NOT_USABLE],
  };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1");
    probe.on("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}
