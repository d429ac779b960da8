import * as v from "valibot";
import { duration } from "./duration.ts";
import { filledText, flag, list, object, oneOf, text } from "./field.ts";
import { policyTarget } from "./policy-target.ts";
import type { UnsupportedField } from "./unsupported-fields.ts";

/** `jwks_uri` is the same field by an older name, which Istio's CRD has as well. */
const jwtRule = v.pipe(object({
  issuer: v.optional(text, ""),
  audiences: list(filledText),
  jwksUri: v.optional(filledText),
  jwks_uri: v.optional(filledText),
  jwks: v.optional(text),
  fromHeaders: list(object({ name: filledText, prefix: v.optional(text) })),
  fromParams: list(filledText),
  fromCookies: list(filledText),
  forwardOriginalToken: v.optional(flag),
  outputPayloadToHeader: v.optional(text),
  outputClaimToHeaders: list(object({ header: filledText, claim: filledText })),
  spaceDelimitedClaims: list(filledText),
  timeout: v.optional(duration),
  presence: v.optional(oneOf("PRESENCE_UNSPECIFIED", "OPTIONAL", "REQUIRED")),
}), v.transform(({ jwks_uri: older, ...rule }) => ({ ...rule, jwksUri: rule.jwksUri ?? older })));

export const requestAuthentication = object({ ...policyTarget, jwtRules: list(jwtRule) });

export type RequestAuthenticationSpec = v.InferOutput<typeof requestAuthentication>;

const FOR_GATEWAYS = "SECURITY: the object is for a gateway or waypoint; a sidecar does not enforce it";

/** Accepted, and not obeyed. */
export const REQUEST_AUTHENTICATION_UNSUPPORTED: readonly UnsupportedField[] = [
  { path: "targetRef", consequence: FOR_GATEWAYS },
  { path: "targetRefs", consequence: FOR_GATEWAYS },
];
