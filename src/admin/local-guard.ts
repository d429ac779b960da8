import type { IncomingMessage } from "node:http";
import { namesLoopbackHost } from "./loopback-host.ts";
import type { RequestGuard } from "./request-guard.ts";

/** As the socket gives them; the last is 127.0.0.1 on a socket of both families. */
const LOCAL_ADDRESSES: ReadonlySet<string | undefined> = new Set(["127.0.0.1", "::1", "::ffff:127.0.0.1"]);

/**
 * What a proxy adds to what it forwards, ours included. A program of the pod that asks for itself has no such field, and
 * neither has curl.
 */
const FORWARDED_BY = ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-client-cert", "x-real-ip"];

/**
 * Only for programs of the pod that ask for it themselves: by 127.0.0.1 or ::1, at both ends of the connection. What the
 * proxy hands on to the pod comes from 127.0.0.6 or ::6, what other pods or the node send from their own addresses. A browser says that
 * it is one, and what was forwarded says so too (CVE-2024-40632, hostile row B30).
 */
export class LocalGuard implements RequestGuard {
  readonly #isEnabled: boolean;
  readonly #flag: string;

  /** `flag`: what the operator has to say for `isEnabled`. */
  constructor(isEnabled: boolean, flag: string) {
    this.#isEnabled = isEnabled;
    this.#flag = flag;
  }

  refusal(request: IncomingMessage): string | null {
    const { socket, headers } = request;
    if (!LOCAL_ADDRESSES.has(socket.remoteAddress) || !LOCAL_ADDRESSES.has(socket.localAddress)) return "only for requests from 127.0.0.1 or ::1 to the same";
    if (!namesLoopbackHost(request)) return "only for requests to a loopback host";
    if (headers.origin !== undefined || (headers["sec-fetch-site"] ?? "none") !== "none") return "not for pages of the web";
    const trace = FORWARDED_BY.find((name) => headers[name] !== undefined);
    if (trace !== undefined) return `not for requests that were forwarded, as ${trace} says this one was`;
    return this.#isEnabled ? null : `off; start the proxy with ${this.#flag}`;
  }
}
