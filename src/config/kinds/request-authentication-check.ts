import type { Metadata } from "../resource.ts";
import { isHeaderName } from "./header-rules.ts";
import { checkOneTarget } from "./policy-target.ts";
import type { Report } from "./report.ts";
import type { RequestAuthenticationSpec } from "./request-authentication.ts";

/** The rules over several fields of a RequestAuthentication (Istio's `ValidateRequestAuthentication`). */
export function checkRequestAuthentication(spec: RequestAuthenticationSpec, report: Report, metadata: Metadata): void {
  checkOneTarget(spec, report);
  if (metadata.annotations["istio.io/dry-run"] !== undefined) report.error([], "the annotation istio.io/dry-run does not apply to this kind");
  spec.jwtRules.forEach((rule, index) => {
    const path = ["jwtRules", index];
    if (!rule.issuer && rule.jwksUri === undefined && rule.jwks === undefined) report.error([...path, "issuer"], "is required without jwksUri or jwks");
    if (rule.jwksUri !== undefined && rule.jwks !== undefined) report.error([...path, "jwks"], "must not stand beside jwksUri");
    if (rule.jwksUri !== undefined && !(/^https?:/.test(rule.jwksUri) && URL.canParse(rule.jwksUri))) report.error([...path, "jwksUri"], "must be a URL of http or https");
    else if (rule.jwksUri !== undefined && hasCredentials(rule.jwksUri)) report.error([...path, "jwksUri"], "must not hold a user or a password, which every page and message about these keys would tell");
    if (rule.jwks !== undefined && !isKeySet(rule.jwks)) report.error([...path, "jwks"], "must be a JSON Web Key Set: {\"keys\": [...]}, in JSON");
    else if (rule.jwks !== undefined && hasPrivateKey(rule.jwks)) report.warn([...path, "jwks"], "holds a private key, which verifies nothing: whoever reads this can sign tokens; write its public part alone, without \"d\", and make a new key");
    rule.fromHeaders.forEach(({ name }, at) => {
      if (!isHeaderName(name)) report.error([...path, "fromHeaders", at, "name"], `${JSON.stringify(name)} is not a header name`);
    });
    rule.outputClaimToHeaders.forEach(({ header }, at) => {
      if (!/^[-_A-Za-z0-9]+$/.test(header)) report.error([...path, "outputClaimToHeaders", at, "header"], `${JSON.stringify(header)} is not a header name`);
    });
  });
}

function hasCredentials(uri: string): boolean {
  const { username, password } = new URL(uri);
  return username !== "" || password !== "";
}

/** RFC 7518 section 6: `d` is the private part of an RSA or EC key, RFC 8037 of the others. */
function hasPrivateKey(keySet: string): boolean {
  const { keys } = JSON.parse(keySet) as { readonly keys: readonly unknown[] };
  return keys.some((key) => typeof key === "object" && key !== null && "d" in key);
}

function isKeySet(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "keys" in value && Array.isArray(value.keys);
  } catch {
    return false;
  }
}
