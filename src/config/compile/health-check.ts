import * as v from "valibot";
import { parse } from "yaml";
import { type HealthCheck, healthCheck } from "../kinds/health-check.ts";
import { quote } from "../kinds/field.ts";
import type { ClusterSpec } from "../snapshot.ts";
import type { HealthCheckSpec } from "../snapshot-cluster.ts";
import type { DestinationRule } from "./destination-rule-index.ts";
import type { ProblemList } from "./problem-list.ts";

/** A DestinationRule with this annotation has the endpoints of its host checked: a mapping, in YAML or JSON. */
const ANNOTATION = "outrider.io/health-check";
const MAX_LENGTH = 4_096;
/** More than this says no more. */
const MAX_FAULTS = 20;
const OK = [{ from: 200, to: 200 }];

/**
 * The active health checks of a cluster; none where its DestinationRule asks for none, or for what cannot be done, which
 * is told.
 */
export function compileHealthCheck(
  rule: DestinationRule | null,
  kind: ClusterSpec["kind"],
  host: string,
  problems: ProblemList,
): { readonly healthCheck?: HealthCheckSpec } {
  if (rule === null || !Object.hasOwn(rule.metadata.annotations, ANNOTATION)) return {};
  const refuse = (...messages: readonly string[]): Record<string, never> => {
    for (const message of messages) problems.warning(rule, ["metadata", "annotations", ANNOTATION], `${message} (no health is checked)`);
    return {};
  };
  const written = read(rule.metadata.annotations[ANNOTATION] ?? "");
  if (Array.isArray(written)) return refuse(...written);
  if (kind === "original-destination") return refuse("the application chooses the address by itself");
  return { healthCheck: specOf(written, host) };
}

/** What the annotation says, or all that is wrong with it. */
function read(text: string): HealthCheck | string[] {
  let value: unknown;
  try {
    if (text.length > MAX_LENGTH) return [`must not be longer than ${MAX_LENGTH} characters`];
    value = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    return [`is no YAML: ${error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : quote(text)}`];
  }
  const result = v.safeParse(healthCheck, value);
  if (result.success) return result.output;
  return result.issues.slice(0, MAX_FAULTS).map((issue) => {
    const path = v.getDotPath(issue);
    return path === null ? issue.message : `${path}: ${issue.message}`;
  });
}

function specOf(check: HealthCheck, host: string): HealthCheckSpec {
  return {
    protocol: check.protocol,
    path: check.path,
    host: check.host ?? host,
    service: check.service,
    port: check.port ?? null,
    intervalMs: check.interval,
    timeoutMs: check.timeout,
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    expectedStatuses: check.expectedStatuses?.map(rangeOf) ?? OK,
  };
}

function rangeOf(status: string): { readonly from: number; readonly to: number } {
  const [from, to = from] = status.split("-").map(Number);
  return { from: from as number, to: to as number };
}
