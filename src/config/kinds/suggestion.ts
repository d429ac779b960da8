/** Edit distance with transposition (optimal string alignment), given up once it exceeds `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((previous[j] as number) + 1, (row[j - 1] as number) + 1, (previous[j - 1] as number) + cost);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) best = Math.min(best, (before[j - 2] as number) + 1);
      row.push(best);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] as number;
}

const normalise = (name: string): string => name.toLowerCase().replaceAll(/[_-]/g, "");

/**
 * The known name a wrong one was probably meant to be, or null. Case, `-` and `_` do not count, then about one typing
 * error per four letters is forgiven.
 */
export function suggest(name: string, known: readonly string[]): string | null {
  // Names come from the file: a long one is no typing error, and comparing it would cost time.
  if (name.length > 64) return null;
  const wanted = normalise(name);
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 4)) + 1;
  for (const candidate of known) {
    const found = distance(wanted, normalise(candidate), bestDistance);
    if (found < bestDistance) {
      best = candidate;
      bestDistance = found;
    }
  }
  return best;
}

/** `; did you mean "x"?`, or nothing. */
export function didYouMean(name: string, known: readonly string[]): string {
  const suggestion = suggest(name, known);
  return suggestion === null ? "" : `; did you mean ${JSON.stringify(suggestion)}?`;
}
