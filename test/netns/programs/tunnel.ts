import { readFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";

/**
 * Sends TEXT through an HBONE tunnel to PORT of the pod at ADDRESS, as ztunnel would for an ambient workload whose
 * certificates are in FOLDER, says that it is done, and prints the tunnel's status and what comes back.
 */
const [folder = "", address = "", port = "", text = ""] = process.argv.slice(2);
const host = address.includes(":") ? `[${address}]` : address;
const read = (name: string): Buffer => readFileSync(join(folder, name));
const session = connect(`https://${host}:15008`, { cert: read("cert-chain.pem"), key: read("key.pem"), ca: read("root-cert.pem"), checkServerIdentity: () => undefined });
session.setTimeout(20_000, () => session.destroy(new Error("timeout")));
const fail = (error: Error): void => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
};
session.on("error", fail);
const tunnel = session.request({ ":method": "CONNECT", ":authority": `${host}:${port}`, baggage: "k8s.namespace.name=default,k8s.deployment.name=ambient" }, { endStream: false });
tunnel.on("error", fail);
tunnel.on("response", (head) => process.stdout.write(`${head[":status"]} `));
tunnel.on("data", (chunk: Buffer) => process.stdout.write(chunk));
tunnel.on("close", () => session.close());
tunnel.end(text.replaceAll("\\n", "\r\n"));
