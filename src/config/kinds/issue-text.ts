import type * as v from "valibot";
import type { Path } from "../resource.ts";
import { quote } from "./field.ts";

/** Our schemas word their own messages; those of valibot's own are put into the same words. */
export function issueText(issue: v.BaseIssue<unknown>): string {
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  if (issue.expected === null) return `is not valid: ${quote(issue.input)}`;
  const what = issue.expected === "Array" ? "a list" : issue.expected === "Object" ? "a mapping" : issue.expected;
  return issue.input === undefined ? "is required" : `must be ${what}, not ${quote(issue.input)}`;
}

/** The field an issue is about, from the value that was checked. */
export function issuePath(issue: v.BaseIssue<unknown>): Path {
  return (issue.path ?? []).map((item) => item.key as string | number);
}
