/**
 * A path template of an AuthorizationPolicy (`spec/05` 5.5): the segment `{*}` stands for one segment that is not empty, and
 * `{**}` for any text, empty too; everything else is literal and must be there exactly. `{**}` comes after every `{*}`.
 */
export class PathTemplate {
  /** What every path that fits begins with. */
  readonly literalStart: string;
  /** Literal text before, between and behind the `{*}`; each but the last is followed by one. */
  readonly #literals: readonly string[];
  /** What a path ends in behind `{**}`; null: there is none, and the last literal ends it. */
  readonly #end: string | null;

  /** @param template as it is compared: bytes as latin1. */
  constructor(template: string) {
    const rest = template.indexOf("{**}");
    this.#literals = (rest < 0 ? template : template.slice(0, rest)).split("{*}");
    this.#end = rest < 0 ? null : template.slice(rest + "{**}".length);
    this.literalStart = this.#literals[0] as string;
  }

  /** Time linear in the length of `path`. */
  matches(path: string): boolean {
    const literals = this.#literals;
    let at = 0;
    for (let index = 0; index < literals.length; index++) {
      if (index > 0) {
        const slash = path.indexOf("/", at);
        const segmentEnd = slash < 0 ? path.length : slash;
        if (segmentEnd === at) return false;
        at = segmentEnd;
      }
      const literal = literals[index] as string;
      if (!path.startsWith(literal, at)) return false;
      at += literal.length;
    }
    const end = this.#end;
    return end === null ? at === path.length : path.length - at >= end.length && path.endsWith(end);
  }
}
