import * as v from "valibot";
import { filledList, filledText, list, object, oneOf } from "./field.ts";
import { addressOrCidr } from "./ip-block.ts";
import { policyTarget } from "./policy-target.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/* `security.istio.io AuthorizationPolicy`, the structure alone; `authorization-policy-check.ts` holds its meaning. */

const texts = filledList(filledText);
const blocks = filledList(addressOrCidr);

const source = object({
  principals: texts, notPrincipals: texts,
  requestPrincipals: texts, notRequestPrincipals: texts,
  namespaces: texts, notNamespaces: texts,
  serviceAccounts: texts, notServiceAccounts: texts,
  trustDomains: texts, notTrustDomains: texts,
  ipBlocks: blocks, notIpBlocks: blocks,
  remoteIpBlocks: blocks, notRemoteIpBlocks: blocks,
});

const operation = object({
  hosts: texts, notHosts: texts,
  ports: texts, notPorts: texts,
  methods: texts, notMethods: texts,
  paths: texts, notPaths: texts,
});

const rule = object({
  from: filledList(object({ source })),
  to: filledList(object({ operation })),
  when: filledList(object({ key: filledText, values: texts, notValues: texts })),
});

export const authorizationPolicy = object({
  ...policyTarget,
  action: v.optional(oneOf("ALLOW", "DENY", "AUDIT", "CUSTOM"), "ALLOW"),
  rules: list(rule),
  provider: v.optional(object({ name: v.optional(filledText) })),
});

export type AuthorizationPolicySpec = v.InferOutput<typeof authorizationPolicy>;
export type AuthorizationRule = AuthorizationPolicySpec["rules"][number];
export type AuthorizationSource = v.InferOutput<typeof source>;
export type AuthorizationOperation = v.InferOutput<typeof operation>;
export type AuthorizationCondition = NonNullable<AuthorizationRule["when"]>[number];

const isEnvoyMetadata = (value: unknown): boolean => typeof value === "string" && value.startsWith("experimental.envoy.");

/** Accepted, and not obeyed. */
export const AUTHORIZATION_POLICY_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "targetRef", consequence: "SECURITY: the policy is for a gateway or waypoint; a sidecar does not enforce it" },
  { path: "targetRefs", consequence: "SECURITY: the policy is for a gateway or waypoint; a sidecar does not enforce it" },
  { path: "rules[].when[].key", when: isEnvoyMetadata, consequence: "there is no such metadata; the condition does not hold" },
];
