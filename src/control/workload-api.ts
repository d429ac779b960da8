import { backOffMs } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Timer, TimerWheel } from "../core/timer-wheel.ts";
import { type IdentityMaterial, isSameIdentity } from "../identity/identity-material.ts";
import type { IdentityEvents, IdentitySource } from "./identity-source.ts";
import { materialOfMessage } from "./workload-api-material.ts";
import { readWorkloadApiMessage, type WorkloadApiMessage } from "./workload-api-message.ts";
import { GRPC_STATUS, type OpenStream, type StreamEnd } from "./workload-api-stream.ts";

export interface WorkloadApiOptions extends IdentityEvents {
  /** The address of the API, for people. */
  readonly uri: string;
  /** Hint of the SVID to use; null: the first. */
  readonly hint: string | null;
  readonly open: OpenStream;
  readonly clock: Clock;
  readonly timers: TimerWheel;
  readonly random: Random;
  /** What the messages hold and is not obeyed, whenever that changed; null for nothing. */
  readonly onWarning: (reason: string | null) => void;
  /** What became of the stream: it is asked for, its first message came, it ended. */
  readonly onStream: (state: "opening" | "open" | "ended") => void;
}

/** For people: an SVID of the last message. */
interface SvidStatus {
  readonly spiffeId: string;
  readonly hint: string;
}

/** The first message is sent as soon as possible, the standard says: who is silent for so long is stuck. */
const FIRST_MESSAGE_MS = 15_000;
/** Bounds of the wait before the next attempt: doubled each time, and drawn at random below that. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A stream that lasted so long was well: after it the wait is short again. */
const WELL_MS = 10_000;
/** How much of its life an SVID may have behind it before we ask whether there is none newer. Agents renew at half. */
const RENEWAL_DUE = 0.8;
const MIN_RENEWAL_WAIT_MS = 30_000;

/**
 * The identity of this workload as the SPIFFE Workload API streams it (`FetchX509SVID`). Each message replaces everything;
 * one that is not good changes nothing and is reported. When the stream ends it is opened anew, with a back-off; the last
 * identity serves until there is another.
 */
export class WorkloadApi implements IdentitySource {
  readonly #options: WorkloadApiOptions;
  #material: IdentityMaterial | null = null;
  #svids: readonly SvidStatus[] = [];
  #revocationLists = 0;
  /** Ends the stream that is open or being opened; null without one. */
  #cancel: (() => void) | null = null;
  /** Counts streams: an event of an earlier one is not ours. */
  #stream = 0;
  #openedAtMs = 0;
  #hasMessage = false;
  /** A message came over any stream: then what is refused later is no mistake of ours, or of who chose the address. */
  #hasEverAnswered = false;
  #failures = 0;
  #badMessages = 0;
  /** The next thing to do without being told: give up waiting, open anew. */
  #timer: Timer | null = null;
  #streamProblem: string | null = null;
  #messageProblems: readonly string[] = [];
  #reported = "[]";
  #isStopped = false;

  constructor(options: WorkloadApiOptions) {
    this.#options = options;
  }

  get material(): IdentityMaterial | null {
    return this.#material;
  }

  /** A message came over the stream that is open. */
  get isConnected(): boolean {
    return this.#cancel !== null && this.#hasMessage;
  }

  start(): void {
    this.#open();
  }

  stop(): void {
    this.#isStopped = true;
    this.#close();
    this.#timer?.cancel();
  }

  reload(): void {
    // A signal may come while the process ends: a stream opened then would keep it from ending.
    if (this.#isStopped) return;
    this.#failures = 0;
    this.#open();
  }

  /** For people: the stream, and all SVIDs of the last message. */
  details(): Readonly<Record<string, unknown>> {
    return { connected: this.isConnected, svids: this.#svids, revocationLists: this.#revocationLists };
  }

  #open(): void {
    this.#close();
    const stream = ++this.#stream;
    this.#openedAtMs = this.#options.clock.monotonicMs();
    this.#hasMessage = false;
    this.#schedule(FIRST_MESSAGE_MS, () => {
      this.#close();
      this.#onEnd({ code: GRPC_STATUS.unavailable, reason: `no answer within ${FIRST_MESSAGE_MS / 1000} s` });
    });
    this.#options.onStream("opening");
    this.#cancel = this.#options.open({
      onMessage: (bytes) => {
        if (stream === this.#stream) this.#onMessage(bytes);
      },
      onEnd: (end) => {
        if (stream === this.#stream) this.#onEnd(end);
      },
    });
  }

  #close(): void {
    this.#stream++;
    this.#cancel?.();
    this.#cancel = null;
  }

  #schedule(delayMs: number, callback: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#options.timers.schedule(delayMs, callback);
  }

  #onMessage(bytes: Buffer): void {
    if (!this.#hasMessage) this.#options.onStream("open");
    this.#hasMessage = true;
    this.#hasEverAnswered = true;
    this.#streamProblem = null;
    const problem = this.#use(bytes);
    this.#badMessages = problem === null ? 0 : this.#badMessages + 1;
    if (problem !== null) this.#messageProblems = [problem];
    this.#report();
    this.#schedule(problem === null ? this.#renewalMs() : this.#betterMessageMs(), () => this.#open());
  }

  /** Obeys a message, or says why not. */
  #use(bytes: Buffer): string | null {
    let message: WorkloadApiMessage;
    try {
      message = readWorkloadApiMessage(bytes);
    } catch (error) {
      return `a message that cannot be read: ${(error as Error).message}`;
    }
    const { hint, clock, onMaterial } = this.#options;
    const generation = (this.#material?.generation ?? 0) + 1;
    const loaded = materialOfMessage(message, { hint, generation, nowMs: clock.wallMs(), federated: this.#material?.bundles.slice(1) ?? [] });
    if (typeof loaded === "string") return loaded;
    const { material, problems } = loaded;
    this.#messageProblems = problems;
    this.#svids = message.svids.map((svid) => ({ spiffeId: svid.spiffeId, hint: svid.hint }));
    this.#warnOfRevocation(message.revocationLists);
    if (this.#material !== null && isSameIdentity(material, this.#material)) return null;
    this.#material = material;
    onMaterial(material);
    return null;
  }

  #warnOfRevocation(count: number): void {
    if (count === this.#revocationLists) return;
    this.#revocationLists = count;
    this.#options.onWarning(count === 0 ? null : `unsupported: ${count} certificate revocation lists (crl) are not obeyed; a certificate ends by expiring, or with its root`);
  }

  /**
   * When to ask for a message in place of a bad one: what is wrong may be the clock, or be put right without anybody telling us, and a new
   * stream begins with a message. Sooner at the start, where nothing is served meanwhile.
   */
  #betterMessageMs(): number {
    return (this.#material === null ? 0 : MAX_RETRY_MS) + this.#backOff(this.#badMessages);
  }

  /** When to ask for a newer SVID by ourselves: an agent that is stuck holds its connection and says nothing. */
  #renewalMs(): number {
    if (this.#material === null) return MAX_RETRY_MS;
    const { notBeforeMs, notAfterMs } = this.#material;
    const nowMs = this.#options.clock.wallMs();
    const dueMs = notBeforeMs + (notAfterMs - notBeforeMs) * RENEWAL_DUE - nowMs;
    return Math.max(dueMs > 0 ? dueMs : (notAfterMs - nowMs) / 2, MIN_RENEWAL_WAIT_MS);
  }

  #onEnd({ code, reason }: StreamEnd): void {
    const { clock, onStream } = this.#options;
    this.#cancel = null;
    onStream("ended");
    const isExpected = this.#hasMessage && (code === GRPC_STATUS.ok || code === GRPC_STATUS.unavailable);
    const isFinal = !this.#hasEverAnswered && (code === GRPC_STATUS.invalidArgument || code === GRPC_STATUS.unimplemented);
    // Agents are restarted: only when the next attempt fails as well is something wrong.
    const said = code === GRPC_STATUS.ok ? "the stream ended without a message" : reason;
    if (!isExpected) this.#streamProblem = `${said}${isFinal ? `; ${FINAL_ADVICE}` : ""}`;
    this.#failures = this.#hasMessage && clock.monotonicMs() - this.#openedAtMs >= WELL_MS ? 1 : this.#failures + 1;
    this.#report();
    if (isFinal) this.#timer?.cancel();
    else this.#schedule(this.#backOff(this.#failures), () => this.#open());
  }

  #backOff(attempt: number): number {
    return backOffMs(attempt, RETRY_MS, MAX_RETRY_MS, this.#options.random);
  }

  #report(): void {
    const { uri, onProblems } = this.#options;
    const reasons = [...(this.#streamProblem === null ? [] : [this.#streamProblem]), ...this.#messageProblems];
    const text = JSON.stringify(reasons);
    if (text === this.#reported) return;
    this.#reported = text;
    onProblems(reasons.map((reason) => ({ file: uri, reason })));
  }
}

/** Both codes mean that asking again is of no use (SPIFFE Workload Endpoint, appendix A). */
const FINAL_ADVICE = "this is not tried again before a reload (SIGHUP): is it the socket of a SPIFFE Workload API? The one of Istio's agent is not";
