import type { Socket } from "node:net";

import { type HttpAnswer, type HttpQuestion, ask } from "./http-client.ts";
import { HttpAuthorizer } from "./http-authorizer.ts";
import { meshConfig, type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyPair, STRICT } from "./proxy-pair.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { TestApplication } from "./test-application.ts";

export const AUTHORIZER_HOST = "authz.security.svc.cluster.local";

const STRICT_AUTHORIZER = security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } }, "security");

export interface StageOptions {
  /** Fields of the provider beside its service and port. */
  readonly provider?: Resource;
  /** What is asked about; absent: everything below `/ask`. */
  readonly rules?: readonly Resource[];
  readonly more?: readonly Resource[];
  /** The authorizer has a sidecar, which takes mesh mTLS only. */
  readonly isMesh?: boolean;
  /** The callee takes plaintext as well. */
  readonly isPermissive?: boolean;
}

/**
 * `productpage` calls `reviews` through two sidecars with mTLS between them, and the callee's asks an external authorizer of
 * another namespace, which may have a sidecar of its own.
 */
export class AuthorizationStage {
  readonly application: TestApplication;
  readonly authorizer: HttpAuthorizer;
  readonly pair: ProxyPair;
  /** The authorizer's sidecar. */
  readonly guard: ProxyUnderTest | null;
  #options: StageOptions;

  private constructor(application: TestApplication, authorizer: HttpAuthorizer, pair: ProxyPair, guard: ProxyUnderTest | null, options: StageOptions) {
    this.application = application;
    this.authorizer = authorizer;
    this.pair = pair;
    this.guard = guard;
    this.#options = options;
  }

  static async start(options: StageOptions = {}, application?: TestApplication): Promise<AuthorizationStage> {
    const app = application ?? await TestApplication.start("application");
    const authorizer = await HttpAuthorizer.start();
    const { port } = authorizer;
    const guard = options.isMesh !== true ? null : await ProxyUnderTest.start({
      yaml: yamlOf(authorizerService(port, true), STRICT_AUTHORIZER), workload: { podName: "authz-1", namespace: "security", serviceAccount: "authz", labels: { app: "authz" } },
    });
    if (guard !== null) guard.destination = { address: "127.0.0.1", port };
    const pair = await ProxyPair.start({ port: app.port, resources: resourcesOf(options, guard?.inboundPort ?? port) });
    return new AuthorizationStage(app, authorizer, pair, guard, options);
  }

  get callee(): ProxyUnderTest {
    return this.pair.callee;
  }

  /** Other options come into force at the callee. */
  async apply(options: StageOptions): Promise<void> {
    this.#options = options;
    await this.callee.apply(this.yamlOf(options));
  }

  /** The configuration of the callee. */
  yamlOf(options: StageOptions = this.#options): string {
    const { port } = this.application;
    return yamlOf(service({ name: "reviews", targetPort: port, endpoints: [{ port, isMesh: true }] }), resourcesOf(options, this.guard?.inboundPort ?? this.authorizer.port));
  }

  /** The application of the caller sends a request. */
  ask(path: string, question: HttpQuestion = {}): Promise<HttpAnswer> {
    return ask(this.pair.connect(), { path, ...question });
  }

  /** A connection to the application that no sidecar of a caller made. */
  connectPlain(): Socket {
    return this.callee.connectInbound(this.application.port);
  }

  /** The value of a counter of the callee, all series of the name together. */
  async count(name: string, labels = ""): Promise<number> {
    const lines = (await this.callee.metrics()).split("\n").filter((line) => line.startsWith(`${name}{`) && line.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }

  stop(): void {
    this.pair.stop();
    this.guard?.stop();
    this.authorizer.stop();
    this.application.stop();
  }
}

function authorizerService(port: number, isMesh: boolean): Resource[] {
  return service({ name: "authz", namespace: "security", clusterIP: "10.96.0.99", port: 8000, endpoints: [{ port, isMesh }] });
}

function resourcesOf({ provider = {}, rules = [{ to: [{ operation: { paths: ["/ask*"] } }] }], more = [], isMesh = false, isPermissive = false }: StageOptions, port: number): Resource[] {
  return [
    ...authorizerService(port, isMesh),
    meshConfig({ extensionProviders: [{ name: "opa", envoyExtAuthzHttp: { service: AUTHORIZER_HOST, port: 8000, ...provider } }] }),
    security("AuthorizationPolicy", "ask", { selector: { matchLabels: { app: "reviews" } }, action: "CUSTOM", provider: { name: "opa" }, rules }),
    ...(isPermissive ? [] : [STRICT]),
    ...(isMesh ? [STRICT_AUTHORIZER] : []),
    ...more,
  ];
}
