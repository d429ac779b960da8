import { get } from "node:http";
import type { IncomingMessage } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { BODY, CHECK_PATH, ECHOED, PROBE } from "./application.ts";
import { HOST } from "./peer.ts";
import type { Route } from "./peer.ts";

const PROBE_VALUE = "Through, unchanged; 42";
/** How long a peer may take to refuse a caller without a certificate. */
const REFUSAL_MS = 5000;

/** Nothing is measured that does not work: throws with what is wrong with the answers of an arrangement. */
export async function checkRoute(route: Route, certificates: string): Promise<void> {
  const { response, body } = await fetchCheck(route.port);
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}, body ${JSON.stringify(body.slice(0, 300))}`);
  if (body !== BODY) throw new Error(`the body has ${body.length} bytes and is not the application's`);
  expectField(response, ECHOED[PROBE] as string, PROBE_VALUE);
  expectField(response, "content-type", "text/plain");
  for (const { field, value } of route.expected) expectField(response, field, value);
  await route.confirmHop?.();
  if (route.mutualTlsPort !== null) await expectRefusal(route.mutualTlsPort, join(certificates, "root-cert.pem"));
}

function expectField(response: IncomingMessage, name: string, wanted: string): void {
  const got = response.headers[name];
  if (typeof got !== "string" || !got.includes(wanted)) throw new Error(`response field ${name} is ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
}

function fetchCheck(port: number): Promise<{ response: IncomingMessage; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, path: CHECK_PATH, headers: { host: HOST, [PROBE]: PROBE_VALUE }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("latin1").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ response, body })).on("error", reject);
    });
    request.setTimeout(REFUSAL_MS, () => request.destroy(new Error("no answer")));
    request.on("error", reject);
  });
}

/** A caller that proves no identity must not get an answer. */
function expectRefusal(port: number, rootFile: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca: readFileSync(rootFile), checkServerIdentity: () => undefined, ALPNProtocols: ["istio-http/1.1", "istio", "http/1.1"] });
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error("a caller without a certificate was neither answered nor refused"));
    }, REFUSAL_MS);
    socket.on("secureConnect", () => socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`));
    socket.on("data", () => {
      socket.destroy();
      reject(new Error("a caller without a certificate was answered"));
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
