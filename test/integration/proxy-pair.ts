import type { Socket } from "node:net";

import { type Resource, security, service, yamlOf } from "./mesh-resources.ts";
import { ProxyUnderTest, type ProxyUnderTestOptions } from "./proxy-under-test.ts";

const VIP = { address: "10.96.0.10", port: 9080 };

export const STRICT = security("PeerAuthentication", "default", { mtls: { mode: "STRICT" } });

export interface ProxyPairOptions {
  /** The application of the callee. */
  readonly port: number;
  readonly portName?: string;
  readonly caller?: Partial<ProxyUnderTestOptions>;
  readonly callee?: Partial<ProxyUnderTestOptions>;
  /** Of both sides. */
  readonly resources?: readonly Resource[];
}

/**
 * The caller's and the callee's sidecar with mesh mTLS between them: `productpage` calls `reviews`, whose endpoint is
 * the callee's capture port, since nothing captures here.
 */
export class ProxyPair {
  readonly caller: ProxyUnderTest;
  readonly callee: ProxyUnderTest;

  private constructor(caller: ProxyUnderTest, callee: ProxyUnderTest) {
    this.caller = caller;
    this.callee = callee;
  }

  static async start(options: ProxyPairOptions): Promise<ProxyPair> {
    const { port, portName = "http", resources = [STRICT] } = options;
    const yamlFor = (endpointPort: number): string => yamlOf(
      service({ name: "reviews", portName, targetPort: port, endpoints: [{ port: endpointPort, isMesh: true }] }), resources);
    const callee = await ProxyUnderTest.start({
      yaml: yamlFor(port), workload: { podName: "reviews-1", serviceAccount: "reviews", labels: { app: "reviews" } }, ...options.callee,
    });
    callee.destination = { address: "127.0.0.1", port };
    const caller = await ProxyUnderTest.start({
      yaml: yamlFor(callee.inboundPort), workload: { serviceAccount: "productpage", labels: { app: "productpage" } }, ...options.caller,
    });
    return new ProxyPair(caller, callee);
  }

  /** The application of the caller calls the service. */
  connect(): Socket {
    return this.caller.connectOutbound(VIP);
  }

  /** Streams and opaque connections under way on either side. */
  activeCount(): number {
    return this.caller.activeCount() + this.callee.activeCount();
  }

  stop(): void {
    this.caller.stop();
    this.callee.stop();
  }
}
