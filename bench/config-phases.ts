import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Node } from "yaml";
import { compile } from "../src/config/compile/compile.ts";
import type { CompileOutput } from "../src/config/compile/compile.ts";
import type { WorkloadIdentity } from "../src/config/compile/workload-identity.ts";
import type { AnyResource } from "../src/config/kinds/kind-specs.ts";
import { parseObject } from "../src/config/source/parse-object.ts";
import type { RawObject } from "../src/config/source/parse-object.ts";
import { parseStream } from "../src/config/source/yaml-stream.ts";
import { decodeText } from "../src/config/source/yaml-text.ts";
import { toValue } from "../src/config/source/yaml-value.ts";

/** Files that go through the phases together: few enough that their syntax trees do not fill the heap. */
const BATCH = 50;

/** CPU milliseconds of a process that has never done it before. */
export interface PhaseFigures {
  readonly parseMs: number;
  readonly validateMs: number;
  readonly compileMs: number;
  readonly objects: number;
}

/** The workload whose proxy it is. */
export const WORKLOAD: WorkloadIdentity = {
  podName: "service-0-0", namespace: "team-0", serviceAccount: "default", addresses: ["10.1.1.1"], labels: { app: "service-0" }, trustDomain: "cluster.local",
};

/** CPU time of this process so far, in milliseconds. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** From YAML files to a snapshot: reading the notation, checking the objects, compiling, each by itself. */
export function measurePhases(folder: string): PhaseFigures & { readonly output: CompileOutput } {
  const files = readdirSync(folder).toSorted().map((name) => join(folder, name));
  const resources: AnyResource[] = [];
  let parseMs = 0;
  let validateMs = 0;
  for (let from = 0; from < files.length; from += BATCH) {
    const start = cpuMs();
    const raw = files.slice(from, from + BATCH).flatMap(read);
    const parsed = cpuMs();
    for (const object of raw) {
      const { resource, problems } = parseObject(object);
      if (resource === null) throw new Error(`${object.file}: ${problems[0]?.message ?? "is not valid"}`);
      resources.push(resource);
    }
    parseMs += parsed - start;
    validateMs += cpuMs() - parsed;
  }
  const start = cpuMs();
  const output = compile({ resources, workload: WORKLOAD, version: 1 });
  return { parseMs, validateMs, compileMs: cpuMs() - start, objects: resources.length, output };
}

/** The objects of one file as plain data with their places. */
function read(file: string): RawObject[] {
  const text = decodeText(readFileSync(file));
  if (typeof text !== "string") throw new Error(`${file}: ${text.message}`);
  const { documents, lines } = parseStream(text);
  return documents.map((document) => ({ file, ...lines.linePos(document.range[0]), ...toValue(document.contents as Node | null, document, lines) }));
}
