/** The rules could not be read, written or removed. The message is one line; the exit code is 1. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
}
