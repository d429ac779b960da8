import { visibleText } from "../core/visible-text.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line says besides its message. Values that are undefined are left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export type LogFormat = "json" | "text";

/** Peers choose what is logged of them, but not how much. */
const MAX_VALUE_LENGTH = 2048;
const PLAIN_TEXT = /^[\w./:@~+,|-]+$/;

/** A JSON string on one line without control characters, whatever `value` holds (hostile B31). */
export function quote(value: string): string {
  const cut = value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}...` : value;
  // JSON escapes C0 only, and `\uXXXX` is an escape of JSON too.
  return visibleText(JSON.stringify(cut));
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
