/** The aliases by what they stand for, made once for each registry. */
const BY_TARGET = new WeakMap<ReadonlyMap<string, string>, ReadonlyMap<string, readonly string[]>>();

/** The ExternalName hosts that stand for `host`, in the order of `aliases`, which maps them to what they stand for. */
export function aliasesFor(host: string, aliases: ReadonlyMap<string, string>): readonly string[] {
  let byTarget = BY_TARGET.get(aliases);
  if (byTarget === undefined) BY_TARGET.set(aliases, (byTarget = inverted(aliases)));
  return byTarget.get(host) ?? [];
}

function inverted(aliases: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const byTarget = new Map<string, string[]>();
  for (const [alias, target] of aliases) {
    const known = byTarget.get(target);
    if (known === undefined) byTarget.set(target, [alias]);
    else known.push(alias);
  }
  return byTarget;
}
