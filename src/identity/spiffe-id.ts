/** A SPIFFE ID taken apart. `namespace` and `serviceAccount` are set when the path is Istio's `/ns/NS/sa/SA`. */
export interface SpiffeId {
  /** The whole ID, `spiffe://trust-domain/path`. */
  readonly id: string;
  /** The ID as policies and metrics write it: without `spiffe://`. */
  readonly principal: string;
  readonly trustDomain: string;
  /** With its leading slash, or empty: the ID of a trust domain itself. */
  readonly path: string;
  readonly namespace: string | null;
  readonly serviceAccount: string | null;
}

const SCHEME = "spiffe://";
const MAX_ID_LENGTH = 2048;
const MAX_TRUST_DOMAIN_LENGTH = 255;

/**
 * Reads a SPIFFE ID (SPIFFE-ID standard section 2; `spec/05` 5.1). The scheme must be written in lower case, as
 * go-spiffe demands: an ID is compared byte by byte afterwards, and two spellings of one ID would slip past a policy.
 *
 * @returns the ID, or a string that says what is wrong with it.
 */
export function parseSpiffeId(text: string): SpiffeId | string {
  if (!text.startsWith(SCHEME)) return "scheme is missing or invalid";
  if (text.length > MAX_ID_LENGTH) return `longer than ${MAX_ID_LENGTH} bytes`;
  const slash = text.indexOf("/", SCHEME.length);
  const trustDomain = text.slice(SCHEME.length, slash < 0 ? text.length : slash);
  const path = slash < 0 ? "" : text.slice(slash);
  const problem = trustDomainProblem(trustDomain) ?? pathProblem(path);
  if (problem !== null) return problem;
  const segments = path.split("/");
  const isWorkload = segments.length === 5 && segments[1] === "ns" && segments[3] === "sa";
  return {
    id: text,
    principal: text.slice(SCHEME.length),
    trustDomain,
    path,
    namespace: isWorkload ? (segments[2] ?? null) : null,
    serviceAccount: isWorkload ? (segments[4] ?? null) : null,
  };
}

/** Says what is wrong with a trust domain name (`[a-z0-9.-_]`, 1 to 255 characters), or null. */
export function trustDomainProblem(name: string): string | null {
  if (name === "") return "trust domain is missing";
  if (name.length > MAX_TRUST_DOMAIN_LENGTH) return `trust domain is longer than ${MAX_TRUST_DOMAIN_LENGTH} bytes`;
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index);
    if (!isLowerOrDigit(code) && !isPunctuation(code)) {
      return "trust domain characters are limited to lower-case letters, numbers, dots, dashes, and underscores";
    }
  }
  return null;
}

/** The workload ID Istio gives a service account. */
export function workloadSpiffeId(trustDomain: string, namespace: string, serviceAccount: string): string {
  return `${SCHEME}${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

function pathProblem(path: string): string | null {
  if (path === "") return null;
  let segmentStart = 1;
  for (let index = 1; index <= path.length; index++) {
    const code = index === path.length ? 0x2f : path.charCodeAt(index);
    if (code !== 0x2f) {
      if (isLowerOrDigit(code) || isPunctuation(code) || (code >= 0x41 && code <= 0x5a)) continue;
      return "path segment characters are limited to letters, numbers, dots, dashes, and underscores";
    }
    const length = index - segmentStart;
    if (length === 0) return index === path.length ? "path cannot have a trailing slash" : "path cannot contain empty segments";
    const isDots = path.charCodeAt(segmentStart) === 0x2e && (length === 1 || (length === 2 && path.charCodeAt(segmentStart + 1) === 0x2e));
    if (isDots) return "path cannot contain dot segments";
    segmentStart = index + 1;
  }
  return null;
}

function isLowerOrDigit(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39);
}

function isPunctuation(code: number): boolean {
  return code === 0x2d || code === 0x2e || code === 0x5f;
}
