import type { IncomingMessage } from "node:http";
import { createServer } from "node:http";
import type { Socket } from "node:net";

import { ask, type HttpAnswer, type HttpQuestion } from "./http-client.ts";
import { ISTIO_TCP, meshClient } from "./mesh-client.ts";
import { meshConfig, portOf, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest, type ProxyUnderTestOptions } from "./proxy-under-test.ts";

export const CALLER = "spiffe://cluster.local/ns/default/sa/productpage";
export const API = { podName: "api-1", serviceAccount: "api", labels: { app: "api" } };

/** What the application of a stage was asked. */
export interface Served {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

export interface GrpcStageOptions {
  /** Where the authorizer listens. */
  readonly authorizerPort: number;
  /** Fields of `envoyExtAuthzGrpc`. */
  readonly provider?: Resource;
  /** Fields of `envoyExtAuthzHttp`: it is asked over HTTP instead. */
  readonly http?: Resource;
  readonly rules?: readonly Resource[];
  /** How the application's port is called. */
  readonly portName?: string;
  /** Besides. */
  readonly resources?: readonly Resource[];
  readonly proxy?: Partial<ProxyUnderTestOptions>;
  /** The authorizer has a sidecar, at `authorizerPort`. */
  readonly isMesh?: boolean;
}

/** An application behind a sidecar that asks an authorizer over gRPC about whatever its rules match. */
export class GrpcStage {
  readonly proxy: ProxyUnderTest;
  readonly served: Served[];
  readonly applicationPort: number;
  readonly #options: GrpcStageOptions;
  readonly #stop: () => void;

  private constructor(proxy: ProxyUnderTest, served: Served[], applicationPort: number, options: GrpcStageOptions, stop: () => void) {
    this.proxy = proxy;
    this.served = served;
    this.applicationPort = applicationPort;
    this.#options = options;
    this.#stop = stop;
  }

  static async start(options: GrpcStageOptions): Promise<GrpcStage> {
    const served: Served[] = [];
    const application = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        served.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, rawHeaders: request.rawHeaders, body: Buffer.concat(chunks).toString("latin1") });
        response.setHeader("x-app", "yes").end("ok");
      });
    });
    await new Promise<void>((resolve) => {
      application.listen(0, "127.0.0.1", resolve);
    });
    const port = portOf(application);
    const proxy = await ProxyUnderTest.start({ yaml: stageYaml(port, options), workload: API, ...options.proxy });
    return new GrpcStage(proxy, served, port, options, () => {
      application.close();
      application.closeAllConnections();
    });
  }

  /** Another provider or other rules come into force. */
  apply(options: Partial<GrpcStageOptions>): Promise<void> {
    return this.proxy.apply(stageYaml(this.applicationPort, { ...this.#options, ...options }));
  }

  /** One request of a caller in the mesh. */
  call(path: string, question: HttpQuestion = {}): Promise<HttpAnswer> {
    return ask(this.connect(), { path, host: "api", ...question });
  }

  connect(): Socket {
    return meshClient(this.proxy.connectInbound(this.applicationPort), { spiffeId: CALLER });
  }

  /** A connection of opaque bytes of a caller in the mesh. */
  connectOpaque(): Socket {
    return meshClient(this.proxy.connectInbound(this.applicationPort), { spiffeId: CALLER, alpn: ISTIO_TCP });
  }

  stop(): void {
    this.proxy.stop();
    this.#stop();
  }
}

function stageYaml(port: number, options: GrpcStageOptions): string {
  const { authorizerPort, provider = {}, http, rules = [{}], portName = "http", resources = [], isMesh = false } = options;
  const where = { service: "opa.default.svc.cluster.local", port: 9191 };
  const asked = http === undefined ? { envoyExtAuthzGrpc: { ...where, ...provider } } : { envoyExtAuthzHttp: { ...where, ...http } };
  return yamlOf(
    meshConfig({ extensionProviders: [{ name: "opa", ...asked }] }),
    service({ name: "api", port: 80, portName, targetPort: port, endpoints: [{ port }] }),
    service({ name: "opa", clusterIP: "10.96.0.20", port: 9191, portName: http === undefined ? "grpc" : "http", endpoints: [{ port: authorizerPort, isMesh }] }),
    security("AuthorizationPolicy", "ask", { action: "CUSTOM", provider: { name: "opa" }, rules }),
    resources,
  );
}
