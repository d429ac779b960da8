/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Envoy's substitution: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; a literal percent sign is `%%`. */
const VALUE = /^(?:[^%\r\n\0]|%%|%[A-Z0-9_]+(?:\([^()]*\))?(?::\d+)?%)*$/;

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
