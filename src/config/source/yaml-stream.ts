import { Composer, CST, Lexer, LineCounter, Parser } from "yaml";
import type { Document } from "yaml";
import type { TextFault } from "./yaml-text.ts";

/** Nesting beyond this is refused before the parser recurses into it. */
export const MAX_DEPTH = 64;
const MAX_INDENT = 512;
const MAX_LEXEMES = 1_500_000;
const MAX_DOCUMENTS = 10_000;
const MAX_LINES = 250_000;

/** A parsed file: its documents and the means to place a node, or what is wrong with its syntax. */
export interface YamlStream {
  readonly documents: readonly Document.Parsed[];
  readonly lines: LineCounter;
  /** Not empty: the documents are not to be used. */
  readonly faults: readonly TextFault[];
}

class Refused extends Error {}

/**
 * Watches the lexical tokens for shapes that would make the parser recurse deeply or run long, so that a few hundred
 * hostile bytes cost a few milliseconds.
 */
class Screen {
  offset = 0;
  #lexemes = 0;
  #documents = 0;
  #flowDepth = 0;
  #indicatorsOnLine = 0;
  #isLineStart = true;
  #isScalarNext = false;

  take(lexeme: string): void {
    if (++this.#lexemes > MAX_LEXEMES) throw new Refused("the file has too many parts");
    if (this.#isScalarNext) {
      this.#isScalarNext = false;
      this.#advance(lexeme);
      return;
    }
    this.#look(CST.tokenType(lexeme), lexeme);
  }

  #look(type: CST.TokenType | null, lexeme: string): void {
    switch (type) {
      case "scalar":
        this.#isScalarNext = true;
        return;
      case "doc-mode":
      case "flow-error-end":
        return;
      case "flow-seq-start":
      case "flow-map-start":
        if (++this.#flowDepth > MAX_DEPTH) throw new Refused(`nested more than ${MAX_DEPTH} levels deep`);
        break;
      case "flow-seq-end":
      case "flow-map-end":
        this.#flowDepth--;
        break;
      case "seq-item-ind":
      case "explicit-key-ind":
      case "map-value-ind":
        if (this.#flowDepth === 0 && ++this.#indicatorsOnLine > MAX_DEPTH) throw new Refused(`nested more than ${MAX_DEPTH} levels deep`);
        break;
      case "doc-start":
        this.#flowDepth = 0;
        if (++this.#documents > MAX_DOCUMENTS) throw new Refused(`more than ${MAX_DOCUMENTS} documents in one file`);
        break;
      case "space":
        if (this.#isLineStart && lexeme.length > MAX_INDENT) throw new Refused(`indented by more than ${MAX_INDENT} columns`);
        break;
      default:
        break;
    }
    this.#advance(lexeme);
    if (type === "newline") {
      this.#isLineStart = true;
      this.#indicatorsOnLine = 0;
    }
  }

  #advance(lexeme: string): void {
    this.offset += lexeme.length;
    this.#isLineStart = false;
  }
}

function countLines(text: string): number {
  let lines = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

/**
 * YAML 1.2 text (JSON is a part of it) to documents, with bounded effort. Merge keys are ordinary keys here and tags
 * stay unresolved; `yaml-value.ts` refuses both. Never throws.
 */
export function parseStream(text: string): YamlStream {
  const lines = new LineCounter();
  const documents: Document.Parsed[] = [];
  if (countLines(text) > MAX_LINES) return { documents, lines, faults: [{ message: `the file has more than ${MAX_LINES} lines`, line: 0, col: 0 }] };
  lines.addNewLine(0);
  const screen = new Screen();
  const parser = new Parser(lines.addNewLine);
  const composer = new Composer({ version: "1.2", schema: "core", merge: false, uniqueKeys: false, prettyErrors: false, logLevel: "silent", lineCounter: lines });
  try {
    for (const lexeme of new Lexer().lex(text)) {
      screen.take(lexeme);
      for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    }
    for (const token of parser.end()) documents.push(...composer.next(token));
    documents.push(...composer.end());
  } catch (error) {
    // A RangeError of the parser, or whatever else it might throw over bytes it did not foresee, is a syntax error.
    const message = error instanceof Refused ? error.message : "the file cannot be parsed as YAML";
    const at = lines.linePos(screen.offset);
    return { documents: [], lines, faults: [{ message, line: Math.max(at.line, 1), col: Math.max(at.col, 1) }] };
  }
  // Whatever follows the first error is mostly its echo.
  const errors = documents.flatMap((document) => document.errors).slice(0, 1);
  const faults = errors.map((error) => ({ message: error.message.replaceAll(/\s+/g, " "), ...lines.linePos(Math.min(error.pos[0], text.length)) }));
  return { documents, lines, faults };
}
