import { createServer } from "node:net";

/** A server that speaks first on PORT, echoes what it hears, and prints how each connection ended. */
const [port = "8081"] = process.argv.slice(2);

createServer({ allowHalfOpen: true }, (socket) => {
  socket.on("error", (error: NodeJS.ErrnoException) => process.stdout.write(`error ${error.code}\n`));
  socket.on("end", () => socket.end());
  socket.on("close", () => process.stdout.write("closed\n"));
  socket.write("greeting\n");
  socket.on("data", (chunk: Buffer) => socket.write(chunk));
}).listen(Number(port), "::", () => process.stdout.write("listening\n"));
