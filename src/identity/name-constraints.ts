import { GENERAL_NAME } from "./certificate-reader.ts";
import type { CertificateFacts, NameConstraint } from "./certificate-reader.ts";

/**
 * Whether a CA's name constraints allow the names of a certificate below it (RFC 5280 section 4.2.1.10). Hosts of
 * URIs and DNS names are compared; a constraint on any other kind of name that the certificate carries refuses it,
 * since a rule that was not understood must not be taken as kept.
 */
export function namesAreAllowed(ca: CertificateFacts, below: CertificateFacts): boolean {
  if (ca.permitted.length === 0 && ca.excluded.length === 0) return true;
  const isReadable = (constraint: NameConstraint): boolean => {
    if (constraint.tag === GENERAL_NAME.uri || constraint.tag === GENERAL_NAME.dns) return true;
    if (constraint.tag === GENERAL_NAME.directory) return below.subject === "";
    return !below.nameTags.includes(constraint.tag);
  };
  if (!ca.permitted.every(isReadable) || !ca.excluded.every(isReadable)) return false;
  const areAllowed = (names: readonly string[], tag: number, matches: (name: string, constraint: string) => boolean): boolean => {
    const permitted = ca.permitted.filter((constraint) => constraint.tag === tag);
    const excluded = ca.excluded.filter((constraint) => constraint.tag === tag);
    return names.every((name) =>
      !excluded.some((constraint) => matches(name, constraint.value)) &&
      (permitted.length === 0 || permitted.some((constraint) => matches(name, constraint.value))));
  };
  return areAllowed(below.uris, GENERAL_NAME.uri, uriMatches) && areAllowed(below.dnsNames, GENERAL_NAME.dns, dnsMatches);
}

/** A constraint with a leading dot covers the hosts below it, one without exactly that host. */
function uriMatches(uri: string, constraint: string): boolean {
  const start = uri.indexOf("://");
  if (start < 0) return false;
  const slash = uri.indexOf("/", start + 3);
  const host = uri.slice(start + 3, slash < 0 ? uri.length : slash).toLowerCase();
  return constraint.startsWith(".") ? host.endsWith(constraint) : host === constraint;
}

/** The constraint itself and everything made by adding labels to its left. */
function dnsMatches(name: string, constraint: string): boolean {
  const lower = name.toLowerCase();
  return constraint === "" || lower === constraint || lower.endsWith(constraint.startsWith(".") ? constraint : `.${constraint}`);
}
