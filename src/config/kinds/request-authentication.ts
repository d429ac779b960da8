import * as v from "valibot";
import { duration } from "./duration.ts";
import { filledText, flag, list, object, oneOf, text } from "./field.ts";
import { policyTarget } from "./policy-target.ts";

const jwtRule = object({
  issuer: v.optional(text, ""),
  audiences: list(filledText),
  jwksUri: v.optional(filledText),
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
});

export const requestAuthentication = object({ ...policyTarget, jwtRules: list(jwtRule) });

export type RequestAuthenticationSpec = v.InferOutput<typeof requestAuthentication>;
