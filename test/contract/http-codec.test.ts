import { systemClock } from "../../src/core/clock.ts";
import { Http1Server } from "../../src/http/http1-server.ts";
import { DEFAULT_HTTP1_SERVER_LIMITS } from "../../src/http/http1-server-limits.ts";
import { Http2Server } from "../../src/http/http2-server.ts";
import { Http1Client } from "../../src/upstream/http1-client.ts";
import { Http2Client } from "../../src/upstream/http2-client.ts";
import { httpCodecContract } from "./http-codec.ts";
import type { Codec } from "./http-codec-link.ts";

const remote = { address: "127.0.0.1", port: 1 };

const http1: Codec = {
  name: "HTTP/1.1",
  isMultiplexed: false,
  serve(socket, facts, handler, timers) {
    const limits = { ...DEFAULT_HTTP1_SERVER_LIMITS, drainIdleTimeoutMs: 10 };
    const server = new Http1Server(socket, facts, handler, { clock: systemClock, timers, limits });
    server.start();
    return server;
  },
  open: (socket, told, timers) => new Http1Client(socket, { remote }, { idle: () => told("idle"), closed: () => told("closed") }, { timers }),
};

const http2 = (name: string, hop: boolean): Codec => ({
  name,
  isMultiplexed: true,
  serve(socket, facts, handler, timers) {
    const server = new Http2Server(socket, facts, handler, { clock: systemClock, timers, hop });
    server.start();
    return server;
  },
  open: (socket, told, timers) => new Http2Client(socket, { remote }, {
    capacityGrew: () => told("capacity"), goingAway: () => told("away"), closed: () => told("closed"),
  }, { clock: systemClock, timers, hop }),
});

httpCodecContract(http1);
httpCodecContract(http2("HTTP/2", false));
httpCodecContract(http2("the hop", true));
