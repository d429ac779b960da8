const UPPER_CASE = /[A-Z]/;
const UPPER_CASE_RUNS = /[A-Z]+/g;

/**
 * `value` with ASCII letters in lower case and everything else as it was: `toLowerCase` also folds letters above
 * U+007F, which the wire's case-insensitive names never mean (RFC 9110 section 5.1, RFC 3986 section 6.2.2.1).
 */
export function asciiLowerCase(value: string): string {
  return UPPER_CASE.test(value) ? value.replace(UPPER_CASE_RUNS, (run) => run.toLowerCase()) : value;
}
