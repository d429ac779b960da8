/** What a check found. */
export interface Finding {
  readonly holds: boolean;
  /** What was seen, with numbers; a half sentence. */
  readonly seen: string;
}

/** Where the story is told. */
export interface StoryOutput {
  write(text: string): void;
  /** Whether colours make sense there. */
  readonly hasColours: boolean;
}

const GREEN = "32";
const RED = "31";
const BOLD = "1";
const DIM = "2";

/** A story told line by line, each line a claim that is checked before it is printed. */
export class Story {
  readonly #output: StoryOutput;
  readonly #failed: string[] = [];
  #checked = 0;
  #chapters = 0;

  constructor(output: StoryOutput) {
    this.#output = output;
  }

  /** Claims that did not hold. */
  get failed(): readonly string[] {
    return this.#failed;
  }

  get checked(): number {
    return this.#checked;
  }

  /** Opens a chapter. */
  chapter(title: string): void {
    this.#output.write(`\n${this.#paint(BOLD, `${++this.#chapters}  ${title}`)}\n`);
  }

  /** A line that claims nothing. */
  tell(text: string): void {
    this.#output.write(`   ${this.#paint(DIM, text)}\n`);
  }

  /**
   * Checks a claim and prints it with what was seen. A check that throws is a claim that does not hold: the story goes
   * on, since one fault should not hide the next.
   */
  async check(claim: string, look: () => Promise<Finding> | Finding): Promise<boolean> {
    this.#checked++;
    let finding: Finding;
    try {
      finding = await look();
    } catch (error) {
      finding = { holds: false, seen: error instanceof Error ? error.message : String(error) };
    }
    if (finding.holds) {
      this.#output.write(`   ${this.#paint(GREEN, "ok")}    ${claim}${finding.seen === "" ? "" : `: ${finding.seen}`}\n`);
    } else {
      this.#failed.push(claim);
      this.#output.write(`   ${this.#paint(RED, "FAIL")}  ${claim}\n         seen: ${finding.seen}\n`);
    }
    return finding.holds;
  }

  /** The last line. */
  conclude(elapsedMs: number): void {
    const seconds = (elapsedMs / 1000).toFixed(1);
    const verdict = this.#failed.length === 0
      ? this.#paint(GREEN, `All ${this.#checked} claims held`)
      : this.#paint(RED, `${this.#failed.length} of ${this.#checked} claims did not hold`);
    this.#output.write(`\n${verdict}, ${seconds} s.\n`);
    for (const claim of this.#failed) this.#output.write(`   failed: ${claim}\n`);
  }

  #paint(code: string, text: string): string {
    return this.#output.hasColours ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}
