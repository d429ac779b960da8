/** A flag that cannot be obeyed. The message is one line and begins with the flag's name; the exit code is 2. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}
