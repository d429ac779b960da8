import * as v from "valibot";
import { RE2JS } from "re2js";
import { filledText, object, quote, text } from "./field.ts";

/** Istio refuses longer patterns (`spec/03` 3.2). */
export const MAX_REGEX_LENGTH = 1024;

/** What is wrong with an RE2 pattern, or null. Look-around and back-references are not part of RE2. */
export function regexFault(pattern: string): string | null {
  if (pattern.length > MAX_REGEX_LENGTH) return `the regular expression must be at most ${MAX_REGEX_LENGTH} characters long, not ${pattern.length}`;
  try {
    RE2JS.compile(pattern);
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${quote(pattern)} is not a regular expression of RE2 syntax: ${reason}`;
  }
}

function regexSchema(options: { readonly isForPresence: boolean }) {
  return v.pipe(
    text,
    v.rawCheck(({ dataset, addIssue }) => {
      if (!dataset.typed || (options.isForPresence && dataset.value === "*")) return;
      if (options.isForPresence && dataset.value === "") return addIssue({ message: "must not be empty" });
      const fault = regexFault(dataset.value);
      if (fault !== null) addIssue({ message: fault });
    }),
  );
}

/** An RE2 regular expression. */
export const regex = regexSchema({ isForPresence: false });

const hasOneKind = v.check(
  (input: { exact?: string | undefined; prefix?: string | undefined; regex?: string | undefined }) =>
    [input.exact, input.prefix, input.regex].filter((value) => value !== undefined).length <= 1,
  "set only one of exact, prefix, regex",
);

/** Istio's StringMatch for `uri`: at most one of the three; none asks for nothing. */
export const uriMatch = v.pipe(object({ exact: v.optional(text), prefix: v.optional(text), regex: v.optional(regex) }), hasOneKind);

/**
 * StringMatch for everything else: exact and prefix are not empty, and an empty match or `regex: "*"`, Istio's old
 * way of saying so, asks for presence.
 */
export const stringMatch = v.pipe(
  object({ exact: v.optional(filledText), prefix: v.optional(filledText), regex: v.optional(regexSchema({ isForPresence: true })) }),
  hasOneKind,
);
/** At most one of the three is set; none, or `regex: "*"`, asks for presence. */
export type StringMatch = v.InferOutput<typeof stringMatch>;
