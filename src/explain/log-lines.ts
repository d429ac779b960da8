import { StringDecoder } from "node:string_decoder";

/** A log line of a proxy is a few hundred bytes, and its longest are a few times the limits of a request's head. */
const MAX_LINE_CHARACTERS = 1 << 20;

/**
 * Lines of a byte stream in batches, a batch for each chunk: memory stays at one chunk and one line, however long the
 * log. A line beyond 1 MiB comes as null. The last line needs no newline; `\r` before one is dropped.
 */
export async function* logLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<(string | null)[]> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  let isTooLong = false;
  for await (const chunk of chunks) {
    const lines: (string | null)[] = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() as string;
    if (lines.length > 0 && isTooLong) {
      lines[0] = null;
      isTooLong = false;
    }
    if (rest.length > MAX_LINE_CHARACTERS) {
      isTooLong = true;
      rest = "";
    }
    if (lines.length > 0) yield lines.map(trimmed);
  }
  rest += decoder.end();
  if (isTooLong) yield [null];
  else if (rest !== "") yield [trimmed(rest)];
}

function trimmed(line: string | null): string | null {
  if (line === null || line.length > MAX_LINE_CHARACTERS) return null;
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
