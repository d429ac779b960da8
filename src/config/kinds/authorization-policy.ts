import * as v from "valibot";
import { filledList, filledText, list, object, oneOf } from "./field.ts";
import { addressOrCidr } from "./ip-block.ts";
import { policyTarget } from "./policy-target.ts";

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
