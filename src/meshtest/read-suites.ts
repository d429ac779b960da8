import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import * as v from "valibot";
import { isMap, isScalar } from "yaml";
import type { Node } from "yaml";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import { issuePath, issueText } from "../config/kinds/issue-text.ts";
import type { Problem } from "../config/problem.ts";
import { formatPath, positionOf } from "../config/resource.ts";
import type { Path, Position } from "../config/resource.ts";
import { describeSystemError } from "../config/source/folder-walk.ts";
import { parseStream } from "../config/source/yaml-stream.ts";
import { decodeText } from "../config/source/yaml-text.ts";
import { toValue } from "../config/source/yaml-value.ts";
import { parseExplainRequest } from "../explain/explain-request.ts";
import type { ExplainRequest } from "../explain/explain-request.ts";
import { withDefaults } from "./request-fields.ts";
import type { RequestFields } from "./request-fields.ts";
import { suiteDocument } from "./test-suite.ts";
import type { TestCase, TestSuite } from "./test-suite.ts";

const MAX_PROBLEMS = 50;

/** The suites of one file, a document each; or why the file cannot be used. */
export interface SuiteFile {
  readonly suites: readonly TestSuite[];
  /** Errors, by place; where there is one, `suites` is not the whole file. */
  readonly problems: readonly Problem[];
}

/** Reads a `*.meshtest.yaml` file; docs/meshtest.md has its format. Never throws. */
export function readSuites(file: string): SuiteFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    return { suites: [], problems: [problem(file, { line: 0, col: 0 }, null, describeSystemError(error))] };
  }
  return parseSuites(file, bytes);
}

/** The same from bytes; `file` names the place, and the folder that paths in it are relative to. */
export function parseSuites(file: string, bytes: Uint8Array): SuiteFile {
  const text = decodeText(bytes);
  if (typeof text !== "string") return { suites: [], problems: [problem(file, text, null, text.message)] };
  const stream = parseStream(text);
  if (stream.faults.length > 0) return { suites: [], problems: stream.faults.map((fault) => problem(file, fault, null, fault.message)) };
  const suites: TestSuite[] = [];
  const problems: Problem[] = [];
  for (const document of stream.documents) {
    const node = document.contents as Node | null;
    if (node === null || (isScalar(node) && node.value === null)) continue;
    const begin = stream.lines.linePos(node.range?.[0] ?? 0);
    const read = isMap(node) ? readDocument(file, toValue(node, document, stream.lines), begin.line) : [problem(file, begin, null, "must be a mapping with cases")];
    if ("cases" in read) suites.push(read);
    else problems.push(...read);
  }
  if (suites.length === 0 && problems.length === 0) problems.push(problem(file, { line: 0, col: 0 }, null, "holds no tests"));
  return { suites, problems };
}

function readDocument(file: string, read: ReturnType<typeof toValue>, line: number): TestSuite | Problem[] {
  const place = { positions: read.positions, line };
  if (read.faults.length > 0) return read.faults.map((fault) => problem(file, fault, fault.path, fault.message));
  const parsed = v.safeParse(suiteDocument, read.value);
  if (!parsed.success) {
    return parsed.issues.slice(0, MAX_PROBLEMS).map((issue) => {
      const path = issuePath(issue);
      return problem(file, positionOf(place, path), path, issueText(issue));
    });
  }
  const { config, configErrors } = parsed.output;
  const cases: TestCase[] = [];
  const problems: Problem[] = [];
  for (const [index, { name, expect, request }] of parsed.output.cases.entries()) {
    const complete = explainable(withDefaults(request, parsed.output.defaults));
    if ("message" in complete) {
      const path = ["cases", index, "request", ...complete.path];
      problems.push(problem(file, positionOf(place, path), path, complete.message));
      continue;
    }
    const placeOf = (field: Path): Position => positionOf(place, ["cases", index, "expect", ...field]);
    cases.push({ name: name ?? nameOf(complete), request: complete, expect, place: positionOf(place, ["cases", index]), placeOf });
  }
  if (problems.length > 0) return problems;
  return {
    file,
    config: config.map((path) => (isAbsolute(path) ? path : join(dirname(file), path))),
    workload: workloadOf(parsed.output.workload),
    configErrors,
    configErrorsPlace: positionOf(place, ["configErrors"]),
    cases,
  };
}

/** The request, or what is wrong with it and in which field. */
function explainable(request: RequestFields): ExplainRequest | { readonly path: Path; readonly message: string } {
  try {
    return parseExplainRequest(request, "outbound");
  } catch (error) {
    const [, field, message] = /^([A-Za-z]+)[^:\s]*: (.*)$/s.exec((error as Error).message) ?? [];
    return field === undefined || message === undefined ? { path: [], message: (error as Error).message } : { path: [field], message };
  }
}

function workloadOf({ name, ...rest }: v.InferOutput<typeof suiteDocument>["workload"]): WorkloadIdentity {
  return { podName: name, ...rest };
}

/** What a case without a name is called. */
function nameOf({ direction, method, url, to, protocol, from }: ExplainRequest): string {
  const what = protocol === "tcp" ? ["tcp", to ?? ""] : [method, url ?? ""];
  return [direction === "inbound" ? "inbound" : "", ...what, from === null ? "" : `from ${from}`].filter((part) => part !== "").join(" ");
}

function problem(file: string, at: { readonly line: number; readonly col: number }, path: Path | null, message: string): Problem {
  return { severity: "error", file, line: at.line, col: at.col, resource: null, field: path === null || path.length === 0 ? null : formatPath(path), message };
}
