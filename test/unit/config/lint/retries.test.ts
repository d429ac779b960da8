import { describe, expect, it } from "vitest";
import { TO_REVIEWS, lintYaml, virtualService } from "./lint-yaml.ts";

const rule = (retries: string, more = ""): string => virtualService(`[{ ${more} ${TO_REVIEWS}, retries: { ${retries} } }]`);
const ADVICE = "POST requests that may already have been executed; give requests that may be repeated a rule of their own (match: method: GET), or write retryOn: connect-failure,refused-stream";

describe("retry-repeats-post", () => {
  it.each([
    ["5xx", "5xx repeats"],
    ["connect-failure, gateway-error", "gateway-error repeats"],
    ["reset,503", "reset, 503 repeat"],
    ["retriable-status-codes,500", "500 repeats"],
  ])("retryOn %s", (retryOn, what) => {
    expect(lintYaml(rule(`attempts: 2, retryOn: "${retryOn}"`))).toEqual([`retry-repeats-post: spec.http[0].retries.retryOn: ${what} ${ADVICE}`]);
  });

  it.each(["[{ method: { regex: 'GET|POST' } }]", "[{ method: { exact: GET } }, { uri: { prefix: / } }]", "[{ method: { prefix: P } }]"])("match %s", (match) => {
    expect(lintYaml(rule("attempts: 2, retryOn: 5xx", `match: ${match},`))).toHaveLength(1);
  });

  it.each([
    ["no conditions of its own", "attempts: 2", ""],
    ["conditions that hold before execution", 'attempts: 2, retryOn: "connect-failure,refused-stream,reset-before-request,unavailable,retriable-4xx,429"', ""],
    ["another method", "attempts: 2, retryOn: 5xx", "match: [{ method: { exact: GET } }],"],
    ["methods by regex", "attempts: 2, retryOn: 5xx", "match: [{ method: { regex: 'GET|HEAD' } }],"],
  ])("not: %s", (_what, retries, more) => {
    expect(lintYaml(rule(retries, more))).toEqual([]);
  });
});

describe("timeout-cuts-retries", () => {
  it("no room for a second attempt", () => {
    expect(lintYaml(rule("attempts: 3, perTryTimeout: 2s", "timeout: 2s,"))).toEqual([
      "timeout-cuts-retries: spec.http[0].timeout: 2s is over before one attempt may take perTryTimeout 2s: no attempt that is slow is ever repeated; write at least 8s, or a shorter perTryTimeout",
    ]);
  });

  it("room for some", () => {
    expect(lintYaml(rule("attempts: 4, perTryTimeout: 1500ms", "timeout: 3s,"))).toEqual([
      "timeout-cuts-retries: spec.http[0].timeout: 3s has room for 2 of 5 attempts of 1500ms each (perTryTimeout): the others are never made when attempts are slow; write at least 7500ms, or fewer attempts",
    ]);
  });

  it.each([
    ["room for all", "attempts: 3, perTryTimeout: 2s", "timeout: 8s,"],
    ["room for the attempts written", "attempts: 3, perTryTimeout: 2s", "timeout: 6s,"],
    ["no timeout", "attempts: 3, perTryTimeout: 2s", ""],
    ["no timeout of an attempt", "attempts: 3", "timeout: 1s,"],
    ["retries turned off", "attempts: 0", "timeout: 1s,"],
  ])("not: %s", (_what, retries, more) => {
    expect(lintYaml(rule(retries, more))).toEqual([]);
  });
});
