import fc from "fast-check";
import type { Resource } from "../../integration/mesh-resources.ts";

/* What random routes, policies and requests are drawn from: few names and values, so that they meet often. */

export const METHODS = ["GET", "POST", "DELETE", "OPTIONS"];
export const HEADER_NAMES = ["x-a", "x-b"];

/** A third of the time nothing is said. */
export const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 2 });
/** Most of the time nothing is said. */
export const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
/** The fields that were said. */
export const defined = (fields: Readonly<Record<string, unknown>>): Resource => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
