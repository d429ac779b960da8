import type { Clock } from "../core/clock.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { formatRecord } from "./log-record.ts";
import type { LogFields, LogFormat, LogLevel } from "./log-record.ts";

/** Where finished lines go; `line` has no line end. Must neither wait nor throw. */
export interface LogSink {
  write(line: string): void;
}

interface LogOptions {
  readonly level?: LogLevel;
  readonly format?: LogFormat;
  /** Lines per second of one message given to `limited`. */
  readonly maxPerSecond?: number;
}

interface Window {
  readonly level: LogLevel;
  count: number;
  suppressed: number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const NO_FIELDS: LogFields = {};
/** Messages are constants of the program; the bound is for a mistake. */
const MAX_WINDOWS = 256;
const WINDOW_MS = 1000;

/** True for the name of a level. */
export function isLogLevel(value: string): value is LogLevel {
  return Object.hasOwn(RANK, value);
}

/**
 * The structured log. A line is always one line, whatever its values hold. Messages are constant phrases; what
 * varies goes into fields.
 */
export class Logger {
  readonly #sink: LogSink;
  readonly #clock: Clock;
  readonly #timers: TimerWheel;
  readonly #format: LogFormat;
  readonly #maxPerSecond: number;
  readonly #windows = new Map<string, Window>();
  #level: LogLevel;
  #windowEnd: Timer | null = null;

  constructor(sink: LogSink, clock: Clock, timers: TimerWheel, options: LogOptions = {}) {
    this.#sink = sink;
    this.#clock = clock;
    this.#timers = timers;
    this.#level = options.level ?? "info";
    this.#format = options.format ?? "json";
    this.#maxPerSecond = options.maxPerSecond ?? 10;
  }

  get level(): LogLevel {
    return this.#level;
  }

  /** Lines below `level` are not written from now on. */
  setLevel(level: LogLevel): void {
    this.#level = level;
  }

  isEnabled(level: LogLevel): boolean {
    return RANK[level] >= RANK[this.#level];
  }

  debug(message: string, fields: LogFields = NO_FIELDS): void {
    this.log("debug", message, fields);
  }

  info(message: string, fields: LogFields = NO_FIELDS): void {
    this.log("info", message, fields);
  }

  warn(message: string, fields: LogFields = NO_FIELDS): void {
    this.log("warn", message, fields);
  }

  error(message: string, fields: LogFields = NO_FIELDS): void {
    this.log("error", message, fields);
  }

  log(level: LogLevel, message: string, fields: LogFields = NO_FIELDS): void {
    if (!this.isEnabled(level)) return;
    this.#sink.write(formatRecord(this.#format, this.#clock.wallMs(), level, message, fields));
  }

  /**
   * Logs what a peer can cause as often as it likes: at most `maxPerSecond` lines a second of each message, then one
   * line `message` with the field `suppressed`, how many were left out.
   */
  limited(level: LogLevel, message: string, fields: LogFields = NO_FIELDS): void {
    if (!this.isEnabled(level)) return;
    const window = this.#window(level, message);
    if (window.count >= this.#maxPerSecond) {
      window.suppressed++;
      return;
    }
    window.count++;
    this.log(level, message, fields);
  }

  #window(level: LogLevel, message: string): Window {
    let window = this.#windows.get(message);
    if (window === undefined) {
      if (this.#windows.size >= MAX_WINDOWS) this.#endWindows();
      window = { level, count: 0, suppressed: 0 };
      this.#windows.set(message, window);
    }
    if (this.#windowEnd === null) {
      this.#windowEnd = this.#timers.schedule(WINDOW_MS, () => {
        this.#windowEnd = null;
        this.#endWindows();
      });
    }
    return window;
  }

  #endWindows(): void {
    for (const [message, window] of this.#windows) {
      if (window.suppressed > 0) this.log(window.level, message, { suppressed: window.suppressed });
    }
    this.#windows.clear();
  }
}
