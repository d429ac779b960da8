import type { Socket } from "node:net";

import type { RawHttp2Backend } from "../hostile/raw-http2-backend.ts";
import type { ManualTime } from "./manual-time.ts";
import { httpRules, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { eventually, exchange, type ProxyUnderTest, rawServer } from "./proxy-under-test.ts";
import type { ScriptedUpstream } from "./scripted-upstream.ts";

/** Where the services of the stage are dialled. */
export const VIP = { address: "10.96.0.10", port: 9080 };
export const GET = "GET / HTTP/1.1\r\nHost: reviews\r\nConnection: close\r\n\r\n";

/** A rule that sends everything to `host`, once. */
export const to = (host: string): Resource => ({ route: [{ destination: { host } }], retries: { attempts: 0 } });

/** A proxy and the upstreams around it, on which something is made to happen; new for every row of a table. */
export class FlagStage {
  readonly time: ManualTime;
  readonly upstream: ScriptedUpstream;
  readonly http2: RawHttp2Backend;
  readonly proxy: ProxyUnderTest;
  readonly #stops: (() => void)[] = [];

  constructor(time: ManualTime, upstream: ScriptedUpstream, http2: RawHttp2Backend, proxy: ProxyUnderTest) {
    this.time = time;
    this.upstream = upstream;
    this.http2 = http2;
    this.proxy = proxy;
  }

  /** `reviews` with one endpoint at `port` and one rule. */
  async use(port: number, rule: Resource = {}, ...more: readonly (Resource | readonly Resource[])[]): Promise<void> {
    await this.proxy.apply(yamlOf(service({ name: "reviews", endpoints: [{ port }] }), httpRules("reviews", { ...to("reviews"), ...rule }), ...more));
  }

  /** An upstream of one's own. */
  async server(serve: (socket: Socket) => void): Promise<number> {
    const server = await rawServer(serve);
    this.#stops.push(() => server.close());
    return server.port;
  }

  /** The answer to a request that the application sends. */
  ask(request = GET): Promise<string> {
    return exchange(this.proxy.connectOutbound(VIP), request);
  }

  /** The same, given up by the client once the upstream has it. */
  async abandon(): Promise<void> {
    const socket = this.proxy.connectOutbound(VIP).on("error", () => undefined);
    socket.write(GET);
    await eventually(() => this.upstream.bodies.length > 0, "the request is at the upstream");
    socket.resetAndDestroy();
  }

  /**
   * Waits for an answer while time passes, four times as fast as it does: a slow machine must not run into the time-outs of
   * what is under way. `stepMs`: more where nothing else is.
   */
  async whileTimePasses(answer: Promise<string>, stepMs = 20): Promise<string> {
    let isOver = false;
    void answer.finally(() => (isOver = true));
    await eventually(() => {
      this.time.pass(stepMs);
      return isOver;
    }, "the answer came");
    return answer;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}

/** One way to raise response flags. */
export interface FlagRow {
  readonly what: string;
  /** The whole `%RESPONSE_FLAGS%`. */
  readonly flags: string;
  readonly details: string | RegExp;
  /** Status the client sees; 0 for none. */
  readonly status: number;
  readonly body?: string;
  /** Makes it happen and gives what the client received. */
  readonly act: (stage: FlagStage) => Promise<string>;
}
