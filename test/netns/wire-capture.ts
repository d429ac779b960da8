import { RunningProgram } from "./running-program.ts";

/** Length of the header of a capture file, and of that of each packet in it (pcap-savefile(5)). */
const fileHeaderBytes = 24;
const packetHeaderBytes = 16;

/** tcpdump on a pod network's wire. */
export class WireCapture {
  readonly #program: RunningProgram;

  constructor(namespace: string, device: string, filter: string) {
    // -U and immediate mode: a packet is in the output as soon as it was seen; -Z root: no change of user in a namespace.
    const tcpdump = ["tcpdump", "--immediate-mode", "-U", "-n", "-s", "0", "-Z", "root", "-i", device, "-w", "-", filter];
    this.#program = new RunningProgram(["ip", "netns", "exec", namespace, ...tcpdump], process.env);
  }

  /** Resolves when packets are being collected. */
  async started(): Promise<void> {
    await this.#program.waitFor(/listening on/);
  }

  /** Packets seen so far, each from its link-layer header on. */
  packets(): Buffer[] {
    const bytes = this.#program.stdoutBytes;
    const packets: Buffer[] = [];
    let at = fileHeaderBytes;
    while (at + packetHeaderBytes <= bytes.length) {
      const length = bytes.readUInt32LE(at + 8);
      if (at + packetHeaderBytes + length > bytes.length) break;
      packets.push(bytes.subarray(at + packetHeaderBytes, at + packetHeaderBytes + length));
      at += packetHeaderBytes + length;
    }
    return packets;
  }

  /** Everything seen so far in one piece, for looking whether a text ever crossed the wire. */
  bytes(): Buffer {
    return Buffer.concat(this.packets());
  }

  /** Resolves once a packet satisfies the condition. */
  async waitForPacket(what: string, condition: (packet: Buffer) => boolean): Promise<Buffer> {
    return this.#program.waitUntil(`a packet with ${what}`, () => this.packets().find(condition));
  }

  /** Ends the capture and gives every packet. */
  async stop(): Promise<Buffer[]> {
    await this.#program.stop("SIGINT");
    return this.packets();
  }
}
