export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line says besides its message. Values that are undefined are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export type LogFormat = "json" | "text";

/** Peers choose what is logged of them, but not how much. */
const MAX_VALUE_LENGTH = 2048;
const PLAIN_TEXT = /^[\w./:@~+,|-]+$/;
// JSON.stringify escapes C0; DEL, C1 and the separators some terminals and viewers take for line ends remain.
const UNSAFE = /[\u007f-\u009f\u2028\u2029]/;
const UNSAFE_ALL = /[\u007f-\u009f\u2028\u2029]/g;

/** A JSON string on one line without control characters, whatever `value` holds (hostile B31). */
export function quote(value: string): string {
  const cut = value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}...` : value;
  const quoted = JSON.stringify(cut);
  return UNSAFE.test(quoted) ? quoted.replaceAll(UNSAFE_ALL, escapeCharacter) : quoted;
}

/** A value as JSON; numbers that JSON has no word for become null. */
export function quoteValue(value: string | number | boolean | null): string {
  if (typeof value === "string") return quote(value);
  return typeof value === "number" && !Number.isFinite(value) ? "null" : String(value);
}

/** One log line without its line end. `wallMs` is milliseconds since the epoch. */
export function formatRecord(format: LogFormat, wallMs: number, level: LogLevel, message: string, fields: LogFields): string {
  const time = new Date(wallMs).toISOString();
  return format === "json" ? jsonLine(time, level, message, fields) : textLine(time, level, message, fields);
}

function jsonLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  let line = `{"time":"${time}","level":"${level}","msg":${quote(message)}`;
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value !== undefined) line += `,${quote(name)}:${quoteValue(value)}`;
  }
  return `${line}}`;
}

function textLine(time: string, level: LogLevel, message: string, fields: LogFields): string {
  let line = `${time} ${level.padEnd(5)} ${quote(message).slice(1, -1)}`;
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value === undefined) continue;
    const isPlain = typeof value !== "string" || (value.length <= MAX_VALUE_LENGTH && PLAIN_TEXT.test(value));
    line += ` ${PLAIN_TEXT.test(name) ? name : quote(name)}=${isPlain ? String(value) : quote(value)}`;
  }
  return line;
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
