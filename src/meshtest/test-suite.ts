import { isIP } from "node:net";
import * as v from "valibot";
import { filledText, labels, object, quote, text } from "../config/kinds/field.ts";
import type { WorkloadIdentity } from "../config/compile/workload-identity.ts";
import type { Position } from "../config/resource.ts";
import type { ExplainRequest } from "../explain/explain-request.ts";
import { expectation } from "./expectation.ts";
import type { Expectation } from "./expectation.ts";
import { requestDefaults, requestFields } from "./request-fields.ts";

const paths = v.lazy((input): v.GenericSchema<unknown, readonly string[]> => (typeof input === "string"
  ? v.pipe(filledText, v.transform((one) => [one]))
  : v.pipe(v.array(filledText, (issue) => `must be a path or a list of paths, not ${quote(issue.input)}`), v.minLength(1, "must name a path; leave the field out for the folder of this file"))) as v.GenericSchema<unknown, readonly string[]>);

const ipAddress = v.pipe(filledText, v.check((address) => isIP(address) !== 0, (issue) => `must be an IP address, not ${quote(issue.input)}`));

const workload = object({
  name: v.optional(filledText, "test"),
  namespace: v.optional(filledText, "default"),
  serviceAccount: v.optional(filledText, "default"),
  labels: v.optional(labels, {}),
  addresses: v.optional(v.array(ipAddress, (issue) => `must be a list of addresses, not ${quote(issue.input)}`), []),
  trustDomain: v.optional(v.nullable(filledText), null),
  locality: v.optional(v.nullable(filledText), null),
  nodeName: v.optional(v.nullable(filledText), null),
});

/** One document of a `*.meshtest.yaml` file: a configuration, the workload that sees it, and cases. */
export const suiteDocument = object({
  config: v.optional(paths, ["."]),
  workload: v.optional(workload, {}),
  configErrors: v.optional(v.array(filledText, (issue) => `must be a list of texts, not ${quote(issue.input)}`), []),
  defaults: requestDefaults,
  cases: v.pipe(
    v.array(
      object({ name: v.optional(text), request: requestFields, expect: expectation }),
      (issue) => (issue.input === undefined ? "is required" : `must be a list of cases, not ${quote(issue.input)}`),
    ),
    v.minLength(1, "must hold at least one case"),
  ),
});

/** A case, its request complete. */
export interface TestCase {
  readonly name: string;
  readonly request: ExplainRequest;
  readonly expect: Expectation;
  readonly place: Position;
  /** Where each thing that is expected stands: `status`, `headers.x-user`. */
  readonly placeOf: (field: readonly (string | number)[]) => Position;
}

/** A configuration as one workload sees it, and what is asked of it. */
export interface TestSuite {
  readonly file: string;
  /** Folders and files of the configuration, ready to be opened. */
  readonly config: readonly string[];
  readonly workload: WorkloadIdentity;
  /** Texts each of which must be part of an error of the configuration; other errors than these are not wanted. */
  readonly configErrors: readonly string[];
  readonly configErrorsPlace: Position;
  readonly cases: readonly TestCase[];
}
