import { connect } from "node:net";

/** Connects to ADDRESS PORT [SOURCE] and prints what it is told there, or the error's code. */
const [host = "", port = "", localAddress] = process.argv.slice(2);
const socket = connect({ host, port: Number(port), ...(localAddress === undefined ? {} : { localAddress }) });
socket.setTimeout(10_000, () => socket.destroy(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })));
socket.on("data", (chunk) => process.stdout.write(chunk));
socket.on("error", (error: NodeJS.ErrnoException) => process.stdout.write(`${JSON.stringify({ error: error.code })}\n`));
