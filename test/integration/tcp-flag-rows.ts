import { meshConfig, networking, type Resource, service, yamlOf } from "./mesh-resources.ts";
import { freePort } from "./free-port.ts";
import { eventually } from "./proxy-under-test.ts";
import { type FlagRow, type FlagStage, VIP } from "./flag-stage.ts";

/** What opaque connections come to. They have no status. */
export const TCP_FLAG_ROWS: readonly Omit<FlagRow, "status" | "body">[] = [
  {
    what: "carried to its end", flags: "-", details: "",
    act: async (stage) => {
      await useDatabase(stage, [await stage.server((socket) => socket.once("data", () => socket.end("bye")))]);
      return stage.ask("hello");
    },
  },
  {
    what: "no endpoint", flags: "UH", details: /^no_healthy_upstream/,
    act: async (stage) => {
      await useDatabase(stage, []);
      return stage.ask("hello");
    },
  },
  {
    what: "a destination that REGISTRY_ONLY forbids", flags: "UH", details: /^no_healthy_upstream/,
    act: async (stage) => {
      await stage.proxy.apply(yamlOf(meshConfig({ outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } })));
      return stage.ask("hello");
    },
  },
  {
    what: "no endpoint can be connected to", flags: "UF,URX", details: /^connect_failure: .*connection refused$/,
    act: async (stage) => {
      await useDatabase(stage, [await freePort(), await freePort()]);
      return stage.ask("hello");
    },
  },
  {
    what: "a route to a cluster that is not there", flags: "NC", details: /^cluster_not_found/,
    act: async (stage) => {
      await useDatabase(stage, [1], {}, networking("VirtualService", "reviews", { hosts: ["reviews"], tcp: [{ route: [{ destination: { host: "missing.test" } }] }] }));
      return stage.ask("hello");
    },
  },
  {
    what: "too many connections", flags: "UO", details: "overflow: too many connections",
    act: async (stage) => {
      await useDatabase(stage, [await stage.server((socket) => socket.pipe(socket))], { maxConnections: 1 });
      const held = stage.proxy.connectOutbound(VIP);
      await new Promise((resolve) => {
        held.once("data", resolve).write("hello");
      });
      const answer = await stage.ask("hello");
      // Its own end is not what is looked at.
      await eventually(() => stage.proxy.accessLog.length > 0, "the second is logged");
      held.destroy();
      await eventually(() => stage.proxy.accessLog.length > 1, "the first is logged");
      stage.proxy.accessLog.pop();
      return answer;
    },
  },
  {
    what: "the upstream cuts it", flags: "UC", details: "upstream_remote_disconnect",
    act: async (stage) => {
      await useDatabase(stage, [await stage.server((socket) => socket.once("data", () => socket.resetAndDestroy()))]);
      return stage.ask("hello");
    },
  },
  {
    what: "the client cuts it", flags: "DC", details: "downstream_remote_disconnect",
    act: async (stage) => {
      let heard = 0;
      await useDatabase(stage, [await stage.server((socket) => socket.on("data", (chunk: Buffer) => (heard += chunk.length)))]);
      const socket = stage.proxy.connectOutbound(VIP);
      socket.write("hello");
      await eventually(() => heard === 5, "it is connected");
      socket.resetAndDestroy();
      return "";
    },
  },
  {
    what: "nothing moves on it", flags: "SI", details: "tcp_session_idle_timeout",
    act: async (stage) => {
      await useDatabase(stage, [await stage.server((socket) => socket.resume())], { idleTimeout: "2s" });
      return stage.whileTimePasses(stage.ask("hello"));
    },
  },
  {
    what: "it is too old", flags: "DT", details: "max_connection_duration_reached",
    act: async (stage) => {
      await useDatabase(stage, [await stage.server((socket) => socket.resume())], { maxConnectionDuration: "2s" });
      return stage.whileTimePasses(stage.ask("hello"));
    },
  },
];

function useDatabase(stage: FlagStage, ports: readonly number[], tcp: Resource = { maxConnections: 9 }, ...more: readonly Resource[]): Promise<void> {
  return stage.proxy.apply(yamlOf(
    service({ name: "reviews", portName: "tcp", endpoints: ports.map((port) => ({ port })) }), networking("DestinationRule", "reviews", { host: "reviews", trafficPolicy: { connectionPool: { tcp } } }), more,
  ));
}
