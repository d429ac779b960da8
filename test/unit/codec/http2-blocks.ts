/** A block of literals that are never indexed into a table, for fields nobody else would write. */
export function literalBlock(...fields: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) parts.push(Buffer.of(0), text(name), text(value));
  return Buffer.concat(parts);
}

function text(string: string): Buffer {
  const bytes = Buffer.from(string, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.of(bytes.length), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}
