// The application of the demo: plain HTTP, no TLS, no idea of a mesh.
//   node reviews.mjs VERSION PORT [ADDRESS]
// It answers with its version and with what it was told of its caller. POST /fail makes it answer 503 from then on,
// POST /work ends that; the words fail, work and report on a line of standard input do the same and show the counts.
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [version = "v1", port = "9080", address = "127.0.0.1"] = process.argv.slice(2);
let isFailing = false;
let answered = 0;
let failed = 0;

function command(word) {
  if (word === "fail") isFailing = true;
  else if (word === "work") isFailing = false;
  return { version, isFailing, answered, failed };
}

const server = createServer((request, response) => {
  request.resume();
  const send = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(`${JSON.stringify(body)}\n`);
  };
  const { method, url, headers } = request;
  if (method === "POST" && (url === "/fail" || url === "/work")) return send(200, command(url.slice(1)));
  if (isFailing) {
    failed++;
    return send(503, { version, error: "out of order" });
  }
  answered++;
  return send(200, { version, path: url, caller: headers["x-forwarded-client-cert"] ?? null });
});

server.listen(Number(port), address, () => console.log(JSON.stringify({ listening: server.address().port })));
createInterface({ input: process.stdin }).on("line", (line) => console.log(JSON.stringify(command(line.trim()))));
process.on("SIGTERM", () => process.exit(0));
