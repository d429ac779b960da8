// oxlint-disable-next-line no-control-regex
const BEYOND_ASCII = /[^\0-\u007f]/;

/** The text that was sent as UTF-8 in a latin1 string, as header values are kept; what is not UTF-8 in it is replaced. */
export function utf8Of(latin1: string): string {
  return BEYOND_ASCII.test(latin1) ? Buffer.from(latin1, "latin1").toString("utf8") : latin1;
}

/** A text as the latin1 string that sends it as UTF-8. */
export function latin1Of(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}
