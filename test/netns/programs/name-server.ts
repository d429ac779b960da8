import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { decode, encode, RECURSION_AVAILABLE } from "dns-packet";

/*
 * The name server of a cluster, on port 53. Knows the A record of every name below `upstream.example`, 192.0.2.1, and
 * nothing else. Prints each question, a JSON line.
 */

function answer(query: Buffer, from: string): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const { name = "", type } = questions[0] ?? {};
  process.stdout.write(`${JSON.stringify({ question: name, type, from })}\n`);
  const isKnown = name.endsWith(".upstream.example");
  const NXDOMAIN = 3;
  return encode({
    type: "response",
    id,
    flags: RECURSION_AVAILABLE | (isKnown ? 0 : NXDOMAIN),
    questions,
    answers: isKnown && type === "A" ? [{ type, name, ttl: 1, data: "192.0.2.1" }] : [],
  });
}

const udp = createSocket({ type: "udp6" });
udp.on("message", (query, from) => udp.send(answer(query, from.address), from.port, from.address));
const tcp = createServer((socket) => {
  socket.on("error", () => socket.destroy());
  // One segment holds a query of these tests.
  socket.on("data", (bytes: Buffer) => {
    const reply = answer(bytes.subarray(2), socket.remoteAddress ?? "");
    const length = Buffer.alloc(2);
    length.writeUInt16BE(reply.length);
    socket.write(Buffer.concat([length, reply]));
  });
});
udp.bind(53, "::", () => tcp.listen(53, "::", () => process.stdout.write("listening\n")));
