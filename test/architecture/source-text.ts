/** A source file seen three ways, each of the same length with the same line breaks. */
export interface SourceText {
  /** From the checkout's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** Comments blanked; strings kept. */
  readonly withoutComments: string;
  /** Comments, strings, templates and regular expressions blanked: what is left is code. */
  readonly code: string;
}

/** What may come before a regular expression; after anything else a slash divides. */
const beforeRegex = /(?:^|[([{=,;:!&|?+\-*%~^<>]|=>|\b(?:return|typeof|case|in|of|void|throw|await|yield))\s*$/;

/** Splits TypeScript into code, strings and comments. Exact enough for rules about names and imports, not a parser. */
export function readSource(path: string, text: string): SourceText {
  const scan = new Scan(text);
  scan.code(null);
  return { path, text, withoutComments: scan.withoutComments.join(""), code: scan.codeOnly.join("") };
}

class Scan {
  readonly withoutComments: string[] = [];
  readonly codeOnly: string[] = [];
  readonly #text: string;
  #at = 0;
  /** The last code of this line of thought, to tell a regular expression from a division. */
  #recent = "";

  constructor(text: string) {
    this.#text = text;
  }

  /** Reads code up to a closing brace of its own, or to the end. */
  code(closing: "}" | null): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      const two = this.#text.slice(this.#at, this.#at + 2);
      const one = two[0] ?? "";
      if (two === "//") this.#comment(/\n|$/g, 0);
      else if (two === "/*") this.#comment(/\*\/|$/g, 2);
      else if (one === '"' || one === "'") this.#quoted(one);
      else if (one === "`") this.#template();
      else if (one === "/" && beforeRegex.test(this.#recent)) this.#regex();
      else {
        if (one === "{") depth++;
        if (one === "}" && depth-- === 0 && closing !== null) return;
        this.#emitCode(one);
      }
    }
  }

  #emitCode(character: string): void {
    this.withoutComments.push(character);
    this.codeOnly.push(character);
    this.#recent = (this.#recent + character).slice(-24);
    this.#at++;
  }

  #emitString(count: number): void {
    const part = this.#text.slice(this.#at, this.#at + count);
    this.withoutComments.push(part);
    this.codeOnly.push(blank(part));
    this.#at += count;
  }

  #comment(end: RegExp, extra: number): void {
    end.lastIndex = this.#at + 2;
    const stop = Math.min((end.exec(this.#text)?.index ?? this.#text.length) + extra, this.#text.length);
    const part = blank(this.#text.slice(this.#at, stop));
    this.withoutComments.push(part);
    this.codeOnly.push(part);
    this.#at = stop;
  }

  #quoted(quote: string): void {
    let length = 1;
    while (this.#at + length < this.#text.length) {
      const character = this.#text[this.#at + length] ?? "";
      if (character === quote || character === "\n") break;
      length += character === "\\" ? 2 : 1;
    }
    this.#emitString(length + 1);
    this.#recent = '"';
  }

  #template(): void {
    this.#emitString(1);
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at] ?? "";
      if (character === "`") break;
      if (character === "$" && this.#text[this.#at + 1] === "{") {
        this.#emitString(2);
        this.#recent = "(";
        this.code("}");
        this.#emitString(1);
      } else {
        this.#emitString(character === "\\" ? 2 : 1);
      }
    }
    this.#emitString(1);
    this.#recent = '"';
  }

  #regex(): void {
    let length = 1;
    let inClass = false;
    while (this.#at + length < this.#text.length) {
      const character = this.#text[this.#at + length] ?? "";
      if (character === "\n" || (character === "/" && !inClass)) break;
      if (character === "[") inClass = true;
      if (character === "]") inClass = false;
      length += character === "\\" ? 2 : 1;
    }
    this.#emitString(length + 1);
    this.#recent = '"';
  }
}

function blank(text: string): string {
  return text.replaceAll(/[^\n]/g, " ");
}
