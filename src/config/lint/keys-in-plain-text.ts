import type { Finding } from "./finding.ts";
import type { LintModel } from "./lint-model.ts";

/** As URL writes it. A name may begin with 127 as well. */
const LOOPBACK = /^(?:localhost|\[::1\]|127(?:\.\d+){3})$/;

/**
 * Keys that are fetched without TLS: the fetch is the proxy's own, outside of the mesh, so that whoever is on the way
 * gives the keys, and with them the tokens that are believed. From this host itself nobody is on the way.
 */
export function keysInPlainText(model: LintModel): Finding[] {
  return model.all("RequestAuthentication").flatMap((resource) => resource.spec.jwtRules.flatMap((rule, index): Finding[] => {
    if (rule.jwks) return [];
    const field = rule.jwksUri ? "jwksUri" : "issuer";
    const url = rule.jwksUri || rule.issuer;
    if (url === undefined || !isPlain(url)) return [];
    const how = field === "jwksUri" ? "its keys are" : "it has no jwksUri, so that its keys are discovered from the issuer, and";
    return [{
      lint: "keys-in-plain-text", resource, path: ["spec", "jwtRules", index, field],
      message: `${how} fetched without TLS, not even that of the mesh: whoever is on the way decides which tokens are believed; write an https: address, or the keys themselves as jwks`,
    }];
  }));
}

function isPlain(text: string): boolean {
  if (!/^http:\/\//i.test(text) || !URL.canParse(text)) return false;
  return !LOOPBACK.test(new URL(text).hostname);
}
