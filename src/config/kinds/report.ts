import type { Path } from "../resource.ts";

/** Takes what a check finds; paths are relative to the spec. */
export interface Report {
  error(path: Path, message: string): void;
  warn(path: Path, message: string): void;
}
