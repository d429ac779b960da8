import { connect } from "node:net";

/** Sends a text, says that it is done, and prints what comes back until the other side is done too. */
const [host = "", port = "", text = ""] = process.argv.slice(2);
const socket = connect({ host, port: Number(port), allowHalfOpen: true }, () => socket.end(text));
socket.on("data", (chunk: Buffer) => process.stdout.write(chunk));
socket.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
