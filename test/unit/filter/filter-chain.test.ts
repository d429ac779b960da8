import { describe, expect, it } from "vitest";
import { type Filter, FilterChain, type FilterRequest, type Verdict } from "../../../src/filter/filter-chain.ts";
import { RequestHead } from "../../../src/message/head.ts";
import { HeaderList } from "../../../src/message/header-list.ts";
import type { LocalReply } from "../../../src/message/local-reply.ts";
import { StreamInfo } from "../../../src/message/stream-info.ts";
import { connection } from "../telemetry/fixtures.ts";
import { NO_BODY } from "./no-body.ts";

const REPLY: LocalReply = { status: 403, headers: [], body: "", flag: "-", details: "denied" };
const REQUEST: FilterRequest = {
  head: new RequestHead("GET", "reviews", "/", new HeaderList()), connection: connection(), info: new StreamInfo("inbound", connection(), 0),
  route: null, changeResponse() {}, onAbandoned() {}, ...NO_BODY,
};

/** Filters that give these verdicts, and the names of those that were asked. */
function chain(...verdicts: (() => Verdict)[]): { readonly asked: number[]; readonly check: () => Verdict } {
  const asked: number[] = [];
  const filters: Filter[] = verdicts.map((verdict, index) => ({
    name: String(index),
    check() {
      asked.push(index);
      return verdict();
    },
  }));
  return { asked, check: () => new FilterChain(filters).check(REQUEST) };
}

const passes = (): Verdict => undefined;
const answers = (): Verdict => REPLY;
const waitsAndPasses = (): Verdict => Promise.resolve(undefined);
const waitsAndAnswers = (): Verdict => Promise.resolve(REPLY);

describe("FilterChain", () => {
  it("passes when all pass, in order and without a promise", () => {
    const { asked, check } = chain(passes, passes, passes);
    expect([check(), asked]).toEqual([undefined, [0, 1, 2]]);
    expect(chain().check()).toBeUndefined();
  });

  it("gives the first answer and asks nobody after it", () => {
    const { asked, check } = chain(passes, answers, answers);
    expect([check(), asked]).toEqual([REPLY, [0, 1]]);
  });

  it("waits for one that waits before it asks the next", async () => {
    const { asked, check } = chain(passes, waitsAndPasses, answers, answers);
    const verdict = check();
    expect([verdict instanceof Promise, asked]).toEqual([true, [0, 1]]);
    expect([await verdict, asked]).toEqual([REPLY, [0, 1, 2]]);
  });

  it("ends with the answer that was waited for, or with none", async () => {
    const answered = chain(waitsAndAnswers, answers);
    expect([await answered.check(), answered.asked]).toEqual([REPLY, [0]]);
    const passed = chain(waitsAndPasses, passes, waitsAndPasses);
    expect([await passed.check(), passed.asked]).toEqual([undefined, [0, 1, 2]]);
  });

  it("fails with the filter that fails, whether it waited or not: nothing passes by mistake", async () => {
    const boom = (): Verdict => {
      throw new Error("boom");
    };
    expect(() => chain(boom, passes).check()).toThrow("boom");
    await expect(chain(waitsAndPasses, boom).check()).rejects.toThrow("boom");
    await expect(chain(() => Promise.reject(new Error("boom")), passes).check()).rejects.toThrow("boom");
  });
});
