import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { Child, LOAD_CPU, findProgram, freePort } from "./child.ts";

/** What the application answers to every request. */
export const BODY = "a".repeat(1024);

/** Under this path the application tells in its answer which fields it was sent. */
export const CHECK_PATH = "/check";
export const PROBE = "x-bench-probe";
/** Request field as the application received it, and the response field in which it says so. */
export const ECHOED: Readonly<Record<string, string>> = {
  [PROBE]: "x-seen-probe",
  "x-forwarded-client-cert": "x-seen-client-cert",
  "x-peer-hash": "x-seen-peer-hash",
  "x-hop-version": "x-seen-hop-version",
};

export interface Application {
  readonly child: Child;
  readonly name: string;
  readonly port: number;
}

/** The server behind the proxies: nginx where it is installed, as it costs little; else a Node server. */
export async function startApplication(folder: string): Promise<Application> {
  const port = await freePort();
  const nginx = findProgram("nginx");
  const command = nginx === null ? [process.execPath, import.meta.filename, String(port)] : [nginx, "-c", nginxConfig(folder, port), "-e", "/dev/null"];
  const child = new Child("application", command, { cpu: LOAD_CPU });
  await child.waitUntil(() => accepts(port));
  return { child, name: nginx === null ? "node" : "nginx", port };
}

/** Whether somebody accepts connections on a loopback port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

function nginxConfig(folder: string, port: number): string {
  const echoes = Object.entries(ECHOED).map(([sent, seen]) => `add_header ${seen} $http_${sent.replaceAll("-", "_")};`).join(" ");
  const file = join(folder, "nginx.conf");
  writeFileSync(file, `daemon off; worker_processes 1; error_log /dev/null; pid ${folder}/nginx.pid;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 100000000; default_type text/plain;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / { return 200 "${BODY}"; }
    location ${CHECK_PATH} { ${echoes} return 200 "${BODY}"; }
  }
}
`);
  return file;
}

/** The Node server, when this file is started as a program. */
function serve(port: number): void {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const headers: Record<string, string> = { "content-type": "text/plain", "content-length": String(BODY.length) };
    if (request.url === CHECK_PATH) {
      for (const [sent, seen] of Object.entries(ECHOED)) {
        const value = request.headers[sent];
        if (typeof value === "string") headers[seen] = value;
      }
    }
    response.writeHead(200, headers).end(BODY);
  });
  server.listen(port, "127.0.0.1");
}

if (process.argv[1] === import.meta.filename) serve(Number(process.argv[2]));
