import { adminRoutes } from "./admin-pages.ts";
import type { AdminSources } from "./admin-sources.ts";
import { HttpEndpoint } from "./http-endpoint.ts";
import { LocalGuard } from "./local-guard.ts";
import { metricsRoutes, readyRoutes, statusRoutes } from "./status-pages.ts";
import { TokenGuard } from "./token-guard.ts";

/** Port numbers of the operators' listeners; 0 is any free one. */
export interface AdminPorts {
  readonly admin: number;
  readonly status: number;
  readonly ready: number;
  readonly metrics: number;
}

/** Who may use the admin pages. */
export interface AdminAccess {
  /** Who knows it may change something over TCP; null: nobody may. */
  readonly token: string | null;
  /** Over TCP: `open` to every process of the pod, `token` as changes are. */
  readonly reads: "open" | "token";
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

  constructor(sources: AdminSources, { token, reads, socketPath, allowsQuit }: AdminAccess) {
    const writes = new TokenGuard(token, "changes");
    this.#admin = new HttpEndpoint(adminRoutes(sources), { isLoopbackOnly: true, reads: reads === "open" ? null : new TokenGuard(token, "these pages"), writes });
    this.#adminSocket = socketPath === null ? null : new HttpEndpoint(adminRoutes(sources), { isLoopbackOnly: true, reads: null, writes: null });
    this.#socketPath = socketPath;
    this.#status = new HttpEndpoint(statusRoutes(sources, new LocalGuard(allowsQuit, "--allow-quit")), { isLoopbackOnly: false, reads: null, writes });
    this.#ready = new HttpEndpoint(readyRoutes(sources), { isLoopbackOnly: false, reads: null, writes });
    this.#metrics = new HttpEndpoint(metricsRoutes(sources), { isLoopbackOnly: false, reads: null, writes });
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
