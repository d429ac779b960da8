import type { AnyOf } from "../config/snapshot-security.ts";
import type { RequestHead } from "../message/head.ts";
import type { Attribute } from "./rbac-attribute.ts";
import type { AuthorizationFacts } from "./rbac-facts.ts";
import type { BlockValues, StringValues } from "./rbac-values.ts";

/** The values of a condition: texts, or blocks for an attribute that is an address. */
export type ConditionValues =
  | { readonly kind: "texts"; readonly is: StringValues; readonly isNot: StringValues }
  | { readonly kind: "blocks"; readonly is: BlockValues; readonly isNot: BlockValues };

/** One condition of a rule: one attribute is any of some values and none of others. One class for all attributes. */
export class Condition {
  /** Where it stands in the policy: `from.source.principals`, `when[request.headers[x-role]]`. */
  readonly name: string;
  readonly attribute: Attribute;
  readonly values: ConditionValues;
  /** The policy denies, which decides how repeated fields are read. */
  readonly isDeny: boolean;

  constructor(name: string, attribute: Attribute, values: ConditionValues, isDeny: boolean) {
    this.name = name;
    this.attribute = attribute;
    this.values = values;
    this.isDeny = isDeny;
  }

  /** What was written, in the policy's own notation. */
  get wanted(): AnyOf<string> {
    const { values } = this;
    if (values.kind === "blocks") return { values: values.is.blocks, notValues: values.isNot.blocks };
    return { values: values.is.matchers.map(({ notation }) => notation), notValues: values.isNot.matchers.map(({ notation }) => notation) };
  }

  holds(facts: AuthorizationFacts): boolean {
    const { values, attribute } = this;
    if (values.kind === "blocks") return holdsForAddress(values.is, values.isNot, attribute, facts);
    if (attribute.kind === "header") return facts.request !== null && this.#holdsForField(values.is, values.isNot, facts.request);
    const texts = attribute.texts(facts);
    return texts === null ? holdsForText(values.is, values.isNot, attribute.text(facts)) : holdsForSome(values.is, values.isNot, texts);
  }

  /** What the condition looked at, for whoever asks why it failed; null when there was nothing. */
  valueIn(facts: AuthorizationFacts): string | null {
    return this.attribute.described(facts);
  }

  /**
   * A field may be sent more than once, and a sender may choose how. So what leads to a denial is matched broadly (any line,
   * any element of a list, or all joined), what leads to permission narrowly (every line): a second value neither hides
   * the first from DENY nor rides on it through ALLOW (CVE-2020-25017, CVE-2021-32777, CVE-2026-26308; hostile row B14).
   */
  #holdsForField(is: StringValues, isNot: StringValues, request: RequestHead): boolean {
    const lines = this.attribute.lines(request);
    if (!is.isEmpty && !(this.isDeny ? matchesBroadly(is, lines) : matchesNarrowly(is, lines))) return false;
    // Not being one of the values is what denies or permits here, so the two change places.
    return isNot.isEmpty || !(this.isDeny ? matchesNarrowly(isNot, lines) : matchesBroadly(isNot, lines));
  }
}

/** Without a value positive matches fail and negative ones hold. */
function holdsForText(is: StringValues, isNot: StringValues, value: string | null): boolean {
  if (!is.isEmpty && (value === null || !is.has(value))) return false;
  return isNot.isEmpty || value === null || !isNot.has(value);
}

function holdsForSome(is: StringValues, isNot: StringValues, candidates: readonly string[]): boolean {
  if (!is.isEmpty && !hasAny(is, candidates)) return false;
  return isNot.isEmpty || !hasAny(isNot, candidates);
}

function holdsForAddress(is: BlockValues, isNot: BlockValues, attribute: Attribute, facts: AuthorizationFacts): boolean {
  const address = attribute.address(facts);
  if (!is.isEmpty && (address === null || !is.has(address))) return false;
  return isNot.isEmpty || address === null || !isNot.has(address);
}

function hasAny(values: StringValues, candidates: readonly string[]): boolean {
  for (let index = 0; index < candidates.length; index++) if (values.has(candidates[index] as string)) return true;
  return false;
}

function matchesBroadly(values: StringValues, lines: readonly string[]): boolean {
  return hasAny(values, broadReadings(lines));
}

function matchesNarrowly(values: StringValues, lines: readonly string[]): boolean {
  return lines.length > 0 && lines.every((line) => values.has(line));
}

/** All that a field's lines may be taken for: each line, each element of a list, all joined. */
export function broadReadings(lines: readonly string[]): readonly string[] {
  const joined = lines.join(",");
  if (lines.length === 0 || !joined.includes(",")) return lines;
  return [...lines, joined, ...joined.split(",").map((element) => element.trim())];
}
