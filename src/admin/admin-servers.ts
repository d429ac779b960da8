import { adminRoutes } from "./admin-pages.ts";
import type { AdminSources } from "./admin-sources.ts";
import { HttpEndpoint } from "./http-endpoint.ts";
import { metricsRoutes, readyRoutes, statusRoutes } from "./status-pages.ts";

/** Port numbers of the operators' listeners; 0 is any free one. */
export interface AdminPorts {
  readonly admin: number;
  readonly status: number;
  readonly ready: number;
  readonly metrics: number;
}

/** IPv6 with IPv4 mapped into it, or IPv4 alone where there is no IPv6. */
const ALL_INTERFACES = ["::", "0.0.0.0"];
const LOOPBACK = ["127.0.0.1"];

/** The listeners for operators and the kubelet on the control thread (interface.md, "HTTP endpoints"). */
export class AdminServers {
  readonly #admin: HttpEndpoint;
  readonly #status: HttpEndpoint;
  readonly #ready: HttpEndpoint;
  readonly #metrics: HttpEndpoint;

  constructor(sources: AdminSources) {
    this.#admin = new HttpEndpoint(adminRoutes(sources), { isLoopbackOnly: true });
    this.#status = new HttpEndpoint(statusRoutes(sources), { isLoopbackOnly: false });
    this.#ready = new HttpEndpoint(readyRoutes(sources), { isLoopbackOnly: false });
    this.#metrics = new HttpEndpoint(metricsRoutes(sources), { isLoopbackOnly: false });
  }

  /** Binds all four and gives their real ports. Rejects with Node's error, nothing left open. */
  async listen(ports: AdminPorts): Promise<AdminPorts> {
    try {
      return {
        admin: await this.#admin.listen(ports.admin, LOOPBACK),
        status: await this.#status.listen(ports.status, ALL_INTERFACES),
        ready: await this.#ready.listen(ports.ready, ALL_INTERFACES),
        metrics: await this.#metrics.listen(ports.metrics, ALL_INTERFACES),
      };
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#admin, this.#status, this.#ready, this.#metrics].map((endpoint) => endpoint.close()));
  }
}
