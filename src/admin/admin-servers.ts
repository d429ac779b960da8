import { adminRoutes } from "./admin-pages.ts";
import type { AdminSources } from "./admin-sources.ts";
import { HttpEndpoint } from "./http-endpoint.ts";
import { LocalGuard } from "./local-guard.ts";
import { metricsRoutes, readyRoutes, statusRoutes } from "./status-pages.ts";
import { WriteGuard } from "./write-guard.ts";

/** Port numbers of the operators' listeners; 0 is any free one. */
export interface AdminPorts {
  readonly admin: number;
  readonly status: number;
  readonly ready: number;
  readonly metrics: number;
}

/** Who may change something by the admin pages. */
export interface AdminAccess {
  /** Null: nobody over TCP. */
  readonly token: string | null;
  /** Path of a Unix socket with the admin pages, for the user of this process alone; null: there is none. */
  readonly socketPath: string | null;
  /** True: programs of the pod may end or drain the proxy by the status port, without a token. */
  readonly allowsQuit: boolean;
}

/** IPv6 with IPv4 mapped into it, or IPv4 alone where there is no IPv6. */
const ALL_INTERFACES = ["::", "0.0.0.0"];
const LOOPBACK = ["127.0.0.1"];

/** The listeners for operators and the kubelet on the control thread (interface.md, "HTTP endpoints"). */
export class AdminServers {
  readonly #admin: HttpEndpoint;
  readonly #adminSocket: HttpEndpoint | null;
  readonly #socketPath: string | null;
  readonly #status: HttpEndpoint;
  readonly #ready: HttpEndpoint;
  readonly #metrics: HttpEndpoint;

  constructor(sources: AdminSources, { token, socketPath, allowsQuit }: AdminAccess) {
    const writes = new WriteGuard(token);
    this.#admin = new HttpEndpoint(adminRoutes(sources), { isLoopbackOnly: true, writes });
    this.#adminSocket = socketPath === null ? null : new HttpEndpoint(adminRoutes(sources), { isLoopbackOnly: true, writes: null });
    this.#socketPath = socketPath;
    this.#status = new HttpEndpoint(statusRoutes(sources, new LocalGuard(allowsQuit, "--allow-quit")), { isLoopbackOnly: false, writes });
    this.#ready = new HttpEndpoint(readyRoutes(sources), { isLoopbackOnly: false, writes });
    this.#metrics = new HttpEndpoint(metricsRoutes(sources), { isLoopbackOnly: false, writes });
  }

  /** Binds all of them and gives their real ports. Rejects with Node's error, nothing left open. */
  async listen(ports: AdminPorts): Promise<AdminPorts> {
    try {
      if (this.#socketPath !== null) await this.#adminSocket?.listenOn(this.#socketPath);
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
    const endpoints = [this.#admin, this.#adminSocket, this.#status, this.#ready, this.#metrics].filter((endpoint) => endpoint !== null);
    await Promise.all(endpoints.map((endpoint) => endpoint.close()));
  }
}
