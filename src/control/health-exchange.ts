import type { HealthCheckSpec } from "../config/snapshot-cluster.ts";
import { RequestHead, type ResponseHead } from "../message/head.ts";
import { HeaderList } from "../message/header-list.ts";
import type { ProxyError } from "../message/proxy-error.ts";
import type { ResponseReceiver, UpstreamConnection } from "../message/stream.ts";
import { GRPC_HEALTH_PATH, healthRequest, servingStatus } from "./grpc-health.ts";
import type { ProbeOutcome } from "./health-verdict.ts";

/** What is read of an answer's body: a gRPC health message has seven bytes. */
const MAX_BODY_BYTES = 1_024;
const USER_AGENT = "outrider-health-check";

/** One question over HTTP or gRPC and its answer. `done` is told once, unless `cancel` comes first. */
export class HealthExchange implements ResponseReceiver {
  readonly #spec: HealthCheckSpec;
  readonly #done: (outcome: ProbeOutcome) => void;
  #chunks: Buffer[] = [];
  #bodyBytes = 0;
  #grpcStatus: string | undefined;
  #isOver = false;

  constructor(spec: HealthCheckSpec, done: (outcome: ProbeOutcome) => void) {
    this.#spec = spec;
    this.#done = done;
  }

  /** Asks over `connection`, which is closed by whoever made it. */
  ask(connection: UpstreamConnection, scheme: "http" | "https"): void {
    const isGrpc = this.#spec.protocol === "grpc";
    const head = isGrpc ? this.#grpcHead() : new RequestHead("GET", this.#spec.host, this.#spec.path, HeaderList.of(["user-agent", USER_AGENT]));
    head.scheme = scheme;
    const stream = connection.request(head, !isGrpc, this);
    if (!isGrpc) return;
    stream.write(healthRequest(this.#spec.service));
    stream.end(null);
  }

  informational(): void {}

  head(head: ResponseHead, end: boolean): void {
    const { status } = head;
    if (this.#spec.protocol === "http") {
      const isExpected = this.#spec.expectedStatuses.some(({ from, to }) => from <= status && status <= to);
      this.#settle(isExpected ? "healthy" : "unhealthy", `status ${status}`);
    } else if (status !== 200) {
      this.#settle("unhealthy", `status ${status}`);
    } else {
      this.#grpcStatus = head.headers.get("grpc-status");
      if (end) this.end(null);
    }
  }

  data(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > MAX_BODY_BYTES) this.#settle("unhealthy", "an answer that is no gRPC health status");
    else this.#chunks.push(Buffer.from(chunk));
  }

  end(trailers: HeaderList | null): void {
    const status = trailers?.get("grpc-status") ?? this.#grpcStatus;
    if (status !== "0") {
      this.#settle("unhealthy", `gRPC status ${status ?? "missing"}`);
      return;
    }
    const serving = servingStatus(Buffer.concat(this.#chunks));
    this.#settle(serving === "SERVING" ? "healthy" : "unhealthy", serving ?? "an answer that is no gRPC health status");
  }

  drain(): void {}

  reset(error: ProxyError): void {
    this.#settle("failed", error.message);
  }

  /** Nothing more is told. */
  cancel(): void {
    this.#isOver = true;
  }

  #settle(result: ProbeOutcome["result"], reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#chunks = [];
    this.#done({ result, reason });
  }

  #grpcHead(): RequestHead {
    const headers = HeaderList.of(["content-type", "application/grpc"], ["te", "trailers"], ["user-agent", USER_AGENT]);
    return new RequestHead("POST", this.#spec.host, GRPC_HEALTH_PATH, headers, -1);
  }
}
