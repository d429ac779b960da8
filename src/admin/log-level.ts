import type { LogLevel } from "../telemetry/log-record.ts";

/** Envoy's names for levels beside our own. */
const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "debug"], ["debug", "debug"], ["info", "info"], ["warn", "warn"], ["warning", "warn"], ["error", "error"], ["critical", "error"],
]);

/** The level an operator named, or null. */
export function logLevelOf(name: string): LogLevel | null {
  return LEVELS.get(name.toLowerCase()) ?? null;
}
