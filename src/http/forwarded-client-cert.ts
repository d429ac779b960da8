import type { TlsFacts } from "../message/connection-facts.ts";
import type { HeaderList } from "../message/header-list.ts";

const NAME = "X-Forwarded-Client-Cert";
const KEY = "x-forwarded-client-cert";

/**
 * What becomes of the header (Envoy's `forward_client_cert_details`, `spec/05` 5.8). `APPEND_FORWARD` is Istio's on
 * the inbound side, `SANITIZE` on the outbound side.
 */
export type ForwardClientCertMode = "SANITIZE" | "FORWARD_ONLY" | "APPEND_FORWARD" | "SANITIZE_SET" | "ALWAYS_FORWARD_ONLY";

/**
 * X-Forwarded-Client-Cert on one connection: tells the application who its peer proved to be. Made once per
 * connection, the element written once; per request it costs one header.
 */
export class ForwardedClientCert {
  readonly #mode: ForwardClientCertMode;
  readonly #isMutual: boolean;
  /** The element for this connection's peer; null without one. */
  readonly element: string | null;

  constructor(tls: TlsFacts | null, mode: ForwardClientCertMode) {
    this.#mode = mode;
    this.element = tls === null || tls.peer === null ? null : clientCertElement(tls);
    this.#isMutual = this.element !== null;
  }

  /** Sets, extends or removes the header of a request. */
  apply(headers: HeaderList): void {
    if (this.#mode === "ALWAYS_FORWARD_ONLY") return;
    if (!this.#isMutual || this.#mode === "SANITIZE") {
      headers.remove(KEY);
    } else if (this.#mode !== "FORWARD_ONLY") {
      const sent = this.#mode === "APPEND_FORWARD" ? headers.joined(KEY) : undefined;
      headers.set(NAME, sent === undefined || sent === "" ? (this.element as string) : `${sent},${this.element}`);
    }
  }
}

/**
 * The element for a verified peer: `By=...;Hash=...;Subject="...";URI=...;DNS=...`. Nothing a certificate holds can
 * end a value early (CVE-2023-27493): SPIFFE IDs have no special characters, the subject comes with every special
 * character as `\` and hex digits, and DNS names are encoded here.
 */
export function clientCertElement(tls: TlsFacts): string | null {
  const { peer } = tls;
  if (peer === null) return null;
  const parts = [`By=${tls.ownSpiffeId}`, `Hash=${peer.hash}`, `Subject="${peer.subject}"`, `URI=${peer.spiffeId}`];
  for (const name of peer.dnsNames) parts.push(`DNS=${quote(name)}`);
  return parts.join(";");
}

/** A value with separators goes between quotes; quotes, backslashes and what is not visible ASCII are percent-encoded. */
function quote(value: string): string {
  const encoded = value.replace(/["\\%]|[^!-~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  return /[,;=]/.test(encoded) ? `"${encoded}"` : encoded;
}
