/** Characters that separate or would end a query; everything but RFC 3986's unreserved characters is escaped. */
const KEPT = /[!'()*]/g;

/**
 * The path and query with parameters set and taken out, as an authorizer asked for it. What it says nothing of stays as it
 * was written; a parameter that is set takes the place of the first of its name, or comes last. Names compare as a form
 * would read them, so that `%61` is `a`.
 */
export function changeQuery(target: string, set: readonly (readonly [string, string])[], removed: readonly string[]): string {
  // The `*` of OPTIONS has no query.
  if (target === "*" || set.length + removed.length === 0) return target;
  const queryAt = target.indexOf("?");
  const path = queryAt < 0 ? target : target.slice(0, queryAt);
  let parts = queryAt < 0 || queryAt === target.length - 1 ? [] : target.slice(queryAt + 1).split("&");
  for (const [name, value] of set) parts = withParameter(parts, name, value);
  const gone = new Set(removed);
  parts = parts.filter((part) => !gone.has(nameOf(part)));
  return parts.length === 0 ? path : `${path}?${parts.join("&")}`;
}

function withParameter(parts: readonly string[], name: string, value: string): string[] {
  const written = `${escape(name)}=${escape(value)}`;
  const changed: string[] = [];
  let isSet = false;
  for (const part of parts) {
    if (nameOf(part) !== name) changed.push(part);
    else if (!isSet) {
      changed.push(written);
      isSet = true;
    }
  }
  if (!isSet) changed.push(written);
  return changed;
}

/** The name of a parameter as it is meant; as it is written where its escapes are none. */
function nameOf(part: string): string {
  const equalsAt = part.indexOf("=");
  const written = equalsAt < 0 ? part : part.slice(0, equalsAt);
  if (!/[%+]/.test(written)) return written;
  try {
    return decodeURIComponent(written.replaceAll("+", " "));
  } catch {
    return written;
  }
}

function escape(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(KEPT, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
