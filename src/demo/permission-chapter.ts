import type { Answer, Caller, Order } from "./caller.ts";
import { type Mesh, spiffeIdOf } from "./mesh.ts";
import type { Sidecar } from "./sidecar.ts";
import type { Finding, Story } from "./story.ts";

/** What a denied request leaves in the log of the sidecar that denied it. */
interface Denial {
  readonly method: string;
  readonly details: string;
  readonly principal: string | null;
}

const LOG_TIMEOUT_MS = 30_000;
const DENIED = "rbac_access_denied_matched_policy";

/** Who may call, and what: decided by reviews' sidecar, from the identity the caller proved. */
export async function permissionChapter(story: Story, { callers, network, sidecars }: Mesh): Promise<void> {
  story.chapter("AuthorizationPolicies decide who may do what");
  const guards = [sidecars["reviews-v1"], sidecars["reviews-v2"]];
  await story.check("visitor has an identity, but nobody lets it in", () => {
    const order = { url: `${network.callUrl("visitor")}/`, headers: { host: "reviews" } };
    return denied(callers.visitor, order, guards, { principal: spiffeIdOf("visitor"), details: `${DENIED}[none]` });
  });
  await story.check("productpage may read, but not delete", () => {
    const order = { url: `${network.callUrl("productpage")}/`, method: "DELETE", headers: { host: "reviews" } };
    return denied(callers.productpage, order, guards, { principal: spiffeIdOf("productpage"), details: `${DENIED}[ns[default]-policy[reviews-no-delete]-rule[0]]` });
  });
}

async function denied(
  caller: Caller,
  order: Order,
  guards: readonly Sidecar[],
  expected: { readonly principal: string; readonly details: string },
): Promise<Finding> {
  const method = order.method ?? "GET";
  const logged = Promise.any(guards.map((guard) => guard.program.line(`log line of a denied ${method}`, (line) => denialOf(line, method), LOG_TIMEOUT_MS)));
  // The answer counts first: without a 403 nobody waits for the log.
  logged.catch(() => undefined);
  const { last } = await caller.ask(order);
  if (last?.status !== 403) return { holds: false, seen: describe(last) };
  const denial = await logged;
  const holds = denial.principal === expected.principal && denial.details === expected.details;
  return { holds, seen: `${describe(last)}; its log says ${denial.details.slice(DENIED.length)} for ${denial.principal ?? "nobody"}` };
}

function denialOf(line: string, method: string): Denial | null {
  if (!line.includes(DENIED)) return null;
  const entry = JSON.parse(line) as { method: string; response_code_details: string; peer_principal: string | null; direction: string };
  if (entry.direction !== "inbound" || entry.method !== method) return null;
  return { method: entry.method, details: entry.response_code_details, principal: entry.peer_principal };
}

function describe(answer: Answer | null): string {
  return answer?.error ?? `${answer?.status} "${answer?.body?.trim()}"`;
}
