import type { HeaderExpectation, TextMatch } from "./expectation.ts";
import { describeHeader, describeLines, describeMatch, holds, holdsForLines } from "./text-match.ts";

/** Something that is not as the case wrote it. */
export interface Difference {
  /** Path below `expect`, to find its place in the file. */
  readonly field: readonly string[];
  /** In words. */
  readonly expected: string;
  readonly got: string;
}

/** Collects what is not as it should be. */
export class Findings {
  readonly all: Difference[] = [];

  compareAt(field: readonly string[], isRight: boolean, expected: string, got: string): void {
    if (!isRight) this.all.push({ field, expected, got });
  }

  compare(field: string, isRight: boolean, expected: string, got: string): void {
    this.compareAt([field], isRight, expected, got);
  }

  same(field: string, expected: string | number | null | undefined, got: string | number | null): void {
    if (expected !== undefined) this.compare(field, expected === got, shown(expected), shown(got));
  }

  text(field: string, expected: TextMatch | undefined, got: string | null): void {
    if (expected !== undefined) this.compare(field, got !== null && holds(expected, got), describeMatch(expected), got === null ? "nothing" : JSON.stringify(got));
  }

  headers(field: string, expected: Readonly<Record<string, HeaderExpectation>> | undefined, got: readonly (readonly [string, string])[] | null, whyNone: string): void {
    for (const [name, wanted] of Object.entries(expected ?? {})) {
      const lines = (got ?? []).filter(([header]) => header.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
      this.compareAt([field, name], got !== null && holdsForLines(wanted, lines), describeHeader(wanted), got === null ? whyNone : describeLines(lines));
    }
  }
}

/** A value as a report prints it. */
export function shown(value: string | number | null): string {
  return value === null ? "none" : String(value);
}
