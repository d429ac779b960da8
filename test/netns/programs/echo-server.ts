import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";

/*
 * An application that knows nothing of the mesh. HTTP on the first port: answers with what it saw as JSON, and a
 * secret that must never cross the wire readable. TCP on the second: sends back, after the peer's FIN, all it got.
 */
const [httpPort = "8080", tcpPort = "8081"] = process.argv.slice(2);

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const seen = {
      method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString("latin1"),
      remote: request.socket.remoteAddress, secret: "answer-in-plain-sight",
    };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(seen));
  });
}).listen(Number(httpPort), "::");

createTcpServer({ allowHalfOpen: true }, (socket) => {
  const chunks: Buffer[] = [];
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("end", () => socket.end(Buffer.concat([Buffer.from("got:"), ...chunks])));
}).listen(Number(tcpPort), "::", () => process.stdout.write("listening\n"));
