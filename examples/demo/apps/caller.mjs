// A caller of the demo: an ordinary HTTP client that does what it reads, a JSON object per line of standard input, and
// answers each with a line. It speaks plain HTTP and knows nothing of a mesh.
//   {"id":1,"do":"get","url":...}                                        one page, whole
//   {"id":2,"do":"ask","url":...,"method","headers","count","inParallel"}  requests, and what became of them
//   {"id":3,"do":"load", ...}     the same without end; {"do":"reading"}: what became of them since the last reading;
//   {"id":4,"do":"rest"}          ends the load and gives what is left
import { Agent, request as send } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const TIMEOUT_MS = 30_000;
const PAUSE_UNDER_LOAD_MS = 4;
const agent = new Agent({ keepAlive: true });

function ask({ url, method = "GET", headers = {} }) {
  return new Promise((resolve) => {
    const request = send(url, { method, headers, agent, timeout: TIMEOUT_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on("error", (error) => resolve({ error: error.code ?? error.message }));
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", (error) => resolve({ error: error.code ?? error.message }));
    request.end();
  });
}

class Tally {
  requests = 0;
  outcomes = {};
  versions = {};
  certificates = {};
  last = null;

  add(answer) {
    const count = (table, key) => (table[key] = (table[key] ?? 0) + 1);
    this.requests++;
    this.last = answer;
    count(this.outcomes, String(answer.status ?? answer.error));
    if (answer.status !== 200) return;
    const { version, caller } = JSON.parse(answer.body);
    count(this.versions, version);
    const [, hash] = /Hash=([0-9a-f]+)/.exec(caller ?? "") ?? [];
    if (hash !== undefined) count(this.certificates, hash);
  }
}

let load = null;

function startLoad(order) {
  const own = { tally: new Tally(), isOver: false, workers: [] };
  const work = async () => {
    while (!own.isOver) {
      own.tally.add(await ask(order));
      await pause(PAUSE_UNDER_LOAD_MS);
    }
  };
  own.workers = Array.from({ length: order.inParallel ?? 4 }, work);
  load = own;
}

function reading() {
  const { tally } = load;
  load.tally = new Tally();
  return tally;
}

async function askMany(order) {
  const tally = new Tally();
  let left = order.count ?? 1;
  const work = async () => {
    while (left-- > 0) tally.add(await ask(order));
  };
  await Promise.all(Array.from({ length: order.inParallel ?? 1 }, work));
  return tally;
}

async function obey(order) {
  if (order.do === "get") return ask(order);
  if (order.do === "ask") return askMany(order);
  if (order.do === "load") return startLoad(order) ?? {};
  if (order.do === "reading") return reading();
  load.isOver = true;
  await Promise.all(load.workers);
  return reading();
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  const order = JSON.parse(line);
  console.log(JSON.stringify({ id: order.id, result: await obey(order) }));
});
process.on("SIGTERM", () => process.exit(0));
console.log(JSON.stringify({ ready: true }));
