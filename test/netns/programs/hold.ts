import { connect } from "node:net";

/** Connects to ADDRESS PORT, prints what it hears, says nothing itself, and prints how the connection ended. */
const [host = "", port = ""] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
socket.on("data", (chunk: Buffer) => process.stdout.write(chunk));
socket.on("error", (error: NodeJS.ErrnoException) => process.stdout.write(`error ${error.code}\n`));
socket.on("close", () => process.stdout.write("closed\n"));
