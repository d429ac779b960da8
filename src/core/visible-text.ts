/**
 * What a viewer obeys, or does not show: controls (C0, DEL, C1), the separators that some take for line ends, and formats, which
 * have text shown in another order or have no width.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;
const HIDDEN_ALL = new RegExp(HIDDEN.source, "gu");

/** `text` on one line, what a terminal would obey or hide written as `\uXXXX`. */
export function visibleText(text: string): string {
  return HIDDEN.test(text) ? text.replaceAll(HIDDEN_ALL, escapeCharacter) : text;
}

/** Text that somebody else wrote as part of one line: its own lines are joined by spaces. */
export function visibleLine(text: string): string {
  return visibleText(text.replaceAll(/[\r\n]+/g, " "));
}

function escapeCharacter(character: string): string {
  let escaped = "";
  for (let index = 0; index < character.length; index++) escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
  return escaped;
}
