/** The blocks of one label (`CERTIFICATE`) in a PEM text, each with its armour (RFC 7468); what is between is skipped. */
export function splitPem(text: string, label: string): string[] {
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  const blocks: string[] = [];
  for (let start = text.indexOf(begin); start >= 0; ) {
    const stop = text.indexOf(end, start);
    if (stop < 0) throw new Error(`${label} block without an end`);
    blocks.push(`${text.slice(start, stop + end.length)}\n`);
    start = text.indexOf(begin, stop);
  }
  return blocks;
}
