/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/**
 * Envoy's substitution: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; a literal percent sign is `%%`. Else what can stand
 * in a header as it is: printable ASCII and tabs, since anything else has several encodings.
 */
const VALUE = /^(?:[\t\x20-\x24\x26-\x7E]|%%|%[A-Z0-9_]+(?:\([\x20-\x27\x2A-\x7E]*\))?(?::\d+)?%)*$/;

/** What can stand in a header as it is: no control characters, and nothing that has several encodings. */
const LITERAL = /^[\x20-\x7E]*$/;

export function isHeaderName(name: string): boolean {
  return TOKEN.test(name);
}

/** True for a value that may be set or added; `%` stands in pairs or in a substitution. */
export function isHeaderValue(value: string): boolean {
  return VALUE.test(value);
}

/** True for text that is sent in a header as it is written, `%` meaning nothing. */
export function isLiteralHeaderValue(text: string): boolean {
  return LITERAL.test(text);
}
