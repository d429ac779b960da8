import { afterAll, beforeAll, expect, it } from "vitest";

import { describeNetns } from "./describe-netns.ts";
import type { Pod, RunOptions } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";

const initProgram = "test/netns/programs/init.ts";
const listenerProgram = "test/netns/programs/destination-listener.ts";
const askProgram = "test/netns/programs/ask.ts";

/** As Istio's injector runs it, for both families. */
const captureAll = ["-b", "*", "-d", "15090,9999", "-i", "*", "-o", "7777", "-x", "10.77.0.3/32,fd77::3/128", "--dual-stack"];

/** Users of the tests: an application's, and the proxy's. */
const app: RunOptions = { uid: 1000 };
const proxy: RunOptions = { uid: 1337 };

interface Told {
  readonly listener?: number;
  readonly from?: string;
  readonly destination?: { readonly address: string; readonly port: number } | null;
  readonly error?: string;
}

async function ask(pod: Pod, address: string, port: number, options: RunOptions, source?: string): Promise<Told> {
  const done = await pod.startNode(askProgram, [address, `${port}`, ...(source === undefined ? [] : [source])], options).finished;
  return JSON.parse(done.stdout) as Told;
}

/** Runs `outrider init` in the pod as its init container would. */
async function init(pod: Pod, ...args: string[]) {
  return pod.startNode(initProgram, args).finished;
}

describeNetns("capture in a pod", () => {
  let network: PodNetwork;
  let captured: Pod;
  let other: Pod;

  beforeAll(async () => {
    network = PodNetwork.create("captured", "other", "excluded");
    captured = network.pod("captured");
    other = network.pod("other");
    const done = await init(captured, ...captureAll);
    expect(done, done.stderr).toMatchObject({ code: 0 });
    // The proxy's two ports, and the application's, which only see what is not redirected.
    const listeners = [
      captured.startNode(listenerProgram, ["worker", "15001", "15006"], proxy),
      captured.startNode(listenerProgram, ["8080", "9999", "15008"], app),
      other.startNode(listenerProgram, ["8080", "7777"], app),
      network.pod("excluded").startNode(listenerProgram, ["8080"], app),
    ];
    await Promise.all(listeners.map((listener) => listener.waitFor(/listening/)));
  });

  afterAll(async () => {
    await network?.destroy();
  });

  it.each([
    { family: "IPv4", pod: "10.77.0.1", peer: "10.77.0.2", service: "10.96.0.1" },
    { family: "IPv6", pod: "fd77::1", peer: "fd77::2", service: "fd96::1" },
  ])("$family: what an application opens goes to 15001 with its destination", async ({ pod, peer, service }) => {
    // An address nobody has shows that no packet leaves the pod.
    expect(await ask(captured, service, 80, app)).toEqual({ listener: 15001, from: pod, destination: { address: service, port: 80 } });
    expect(await ask(captured, peer, 8080, app)).toEqual({ listener: 15001, from: pod, destination: { address: peer, port: 8080 } });
  });

  it.each([
    { family: "IPv4", pod: "10.77.0.1", peer: "10.77.0.2" },
    { family: "IPv6", pod: "fd77::1", peer: "fd77::2" },
  ])("$family: what arrives goes to 15006 with its destination", async ({ pod, peer }) => {
    expect(await ask(other, pod, 8080, app)).toEqual({ listener: 15006, from: peer, destination: { address: pod, port: 8080 } });
    expect(await ask(other, pod, 4444, app)).toMatchObject({ listener: 15006, destination: { address: pod, port: 4444 } });
  });

  it.each(["10.77.0.1", "fd77::1"])("%s: excluded inbound ports and the tunnel port arrive untouched", async (pod) => {
    expect(await ask(other, pod, 9999, app)).toMatchObject({ listener: 9999 });
    expect(await ask(other, pod, 15008, app)).toMatchObject({ listener: 15008 });
  });

  it.each(["10.77.0.2", "fd77::2"])("B28 %s: the proxy's own connections, whatever has its user or group, and excluded ports leave untouched", async (peer) => {
    expect(await ask(captured, peer, 8080, proxy)).toMatchObject({ listener: 8080 });
    expect(await ask(captured, peer, 8080, { uid: 1000, gid: 1337 })).toMatchObject({ listener: 8080 });
    expect(await ask(captured, peer, 7777, app)).toMatchObject({ listener: 7777 });
  });

  it.each(["10.77.0.3", "fd77::3"])("%s: excluded ranges leave untouched", async (address) => {
    expect(await ask(captured, address, 8080, app)).toMatchObject({ listener: 8080 });
  });

  it.each([
    { loopback: "127.0.0.1", pod: "10.77.0.1", passThrough: "127.0.0.6" },
    { loopback: "::1", pod: "fd77::1", passThrough: "::6" },
  ])("loopback decision table, $loopback", async ({ loopback, pod, passThrough }) => {
    // Application to itself, by loopback and by its pod's address.
    expect(await ask(captured, loopback, 8080, app)).toMatchObject({ listener: 8080 });
    expect(await ask(captured, pod, 8080, app)).toMatchObject({ listener: 8080 });
    // The proxy calls its own pod: inbound policy applies, except for the tunnel port.
    expect(await ask(captured, pod, 8080, proxy)).toEqual({ listener: 15006, from: pod, destination: { address: pod, port: 8080 } });
    expect(await ask(captured, pod, 15008, proxy)).toMatchObject({ listener: 15008 });
    // The proxy hands an inbound connection to the application.
    expect(await ask(captured, pod, 8080, proxy, passThrough)).toEqual({
      listener: 8080,
      from: passThrough,
      destination: expect.objectContaining({ port: 8080 }) as unknown,
    });
    expect(await ask(captured, loopback, 8080, proxy)).toMatchObject({ listener: 8080 });
    // Of the proxy's group but not the proxy: as the application.
    expect(await ask(captured, pod, 8080, { uid: 1000, gid: 1337 })).toMatchObject({ listener: 8080 });
  });

  it.each(["10.77.0.1", "fd77::1"])("%s: a connection made to the capture port itself shows that port as destination", async (pod) => {
    expect(await ask(other, pod, 15006, app)).toMatchObject({ listener: 15006, destination: { address: pod, port: 15006 } });
  });

  it("captures curl, which knows nothing of it", async () => {
    const answer = await captured.curl(["--http0.9", "http://10.96.0.1:8000/"]);
    expect(answer.code, answer.stderr).toBe(0);
    expect(JSON.parse(answer.body)).toMatchObject({ listener: 15001, destination: { address: "10.96.0.1", port: 8000 } });
  });

  it("sees what crosses the wire", async () => {
    const wire = await network.captureWire("tcp port 8080");
    await ask(captured, "10.77.0.2", 8080, proxy);
    await wire.waitForPacket("the answer", (packet) => packet.includes('{"listener":8080'));
    await wire.stop();
  });
});
