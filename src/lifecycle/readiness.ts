/**
 * Whether traffic may come: ready when every start-up task has dropped its token and the proxy does not drain.
 * Tokens rather than a list of conditions, so that a part that is added says by itself what must wait for it.
 */
export class Readiness {
  readonly #pending = new Set<ReadinessToken>();
  readonly #onReady: () => void;
  #wasReady = false;
  #isDraining = false;

  /** `onReady` is called once, when the last token is dropped for the first time. */
  constructor(onReady: () => void = () => undefined) {
    this.#onReady = onReady;
  }

  /** Registers a start-up task; `name` is shown to operators (`configuration`, `certificates`, `data thread 1`). */
  register(name: string): ReadinessToken {
    const token = new ReadinessToken(name, (dropped) => this.#drop(dropped));
    this.#pending.add(token);
    return token;
  }

  get isReady(): boolean {
    return !this.#isDraining && this.#pending.size === 0;
  }

  /** What is still missing, in the order it was registered; `draining` when the proxy is on its way out. */
  waitingFor(): string[] {
    const names = [...this.#pending].map((token) => token.name);
    return this.#isDraining ? ["draining", ...names] : names;
  }

  /** From now on never ready again. */
  startDraining(): void {
    this.#isDraining = true;
  }

  #drop(token: ReadinessToken): void {
    if (!this.#pending.delete(token) || this.#pending.size > 0 || this.#wasReady) return;
    this.#wasReady = true;
    this.#onReady();
  }
}

/** Held by a task until it is done. Dropping it twice does nothing. */
export class ReadinessToken {
  readonly name: string;
  readonly #onDrop: (token: ReadinessToken) => void;

  constructor(name: string, onDrop: (token: ReadinessToken) => void) {
    this.name = name;
    this.#onDrop = onDrop;
  }

  /** The task is done. */
  drop(): void {
    this.#onDrop(this);
  }
}
