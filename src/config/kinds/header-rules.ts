/** RFC 9110 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Envoy's substitution: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`; a literal percent sign is `%%`. */
const VALUE = /^(?:[^%\r\n\0]|%%|%[A-Z0-9_]+(?:\([^()]*\))?(?::\d+)?%)*$/;

export function isHeaderName(name: string): boolean {
  return TOKEN.test(name);
}

/** True for a value that may be set or added; `%` stands in pairs or in a substitution. */
export function isHeaderValue(value: string): boolean {
  return VALUE.test(value);
}
