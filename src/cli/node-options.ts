/** Why an option of Node is refused, by its name; the sentence ends "the Node option X is refused: it ...". */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ["--insecure-http-parser", "would read HTTP in ways other programs do not"],
  ["--inspect", "would open the process, keys included, to a debugger"],
  ["--inspect-brk", "would open the process, keys included, to a debugger"],
  ["--inspect-wait", "would open the process, keys included, to a debugger"],
  ["--inspect-brk-node", "would open the process, keys included, to a debugger"],
  ["--inspect-port", "would prepare the process for a debugger"],
  ["--debug-port", "would prepare the process for a debugger"],
  ["--heapsnapshot-signal", "would write memory, keys included, to a file"],
  ["--heapsnapshot-near-heap-limit", "would write memory, keys included, to a file"],
  ["--tls-keylog", "would write the keys of every connection to a file"],
  ["--trace-tls", "would write what connections carry to the log"],
  ["--tls-min-v1.0", "would allow versions of TLS that are broken"],
  ["--tls-min-v1.1", "would allow versions of TLS that are broken"],
  ["--tls-cipher-list", "would replace the cipher suites that are believed safe"],
  ["--openssl-legacy-provider", "would allow algorithms that are broken"],
  ["--security-revert", "would bring a known vulnerability back"],
  ["--experimental-config-file", "could hold any other option unseen"],
  ["--experimental-default-config-file", "could hold any other option unseen"],
]);

/**
 * The first option that would switch off what Outrider promises (hostile row D08), as a sentence; null when there is none.
 *
 * @param nodeOptions the environment variable NODE_OPTIONS
 * @param execArgv the options Node itself was given
 */
export function optionProblem(nodeOptions: string, execArgv: readonly string[]): string | null {
  for (const word of [...wordsOf(nodeOptions), ...execArgv]) {
    const name = canonicalName(word);
    const reason = REFUSED.get(name);
    if (reason !== undefined) return `the Node option ${name} is refused: it ${reason}`;
  }
  return null;
}

/** Node takes `--insecure_http_parser` for `--insecure-http-parser`. */
function canonicalName(word: string): string {
  return (word.split("=", 1)[0] as string).replaceAll("_", "-");
}

/** NODE_OPTIONS as Node itself takes it apart: spaces separate, double quotes hold together, inside them `\` escapes. */
function wordsOf(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    let character = text.charAt(at);
    if (character === '"') {
      isQuoted = !isQuoted;
      word ??= "";
      continue;
    }
    if (!isQuoted && character === " ") {
      if (word !== null) words.push(word);
      word = null;
      continue;
    }
    if (isQuoted && character === "\\") character = text.charAt(++at);
    word = (word ?? "") + character;
  }
  if (word !== null) words.push(word);
  return words;
}
