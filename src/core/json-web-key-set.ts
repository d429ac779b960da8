import { parseStrictObject } from "./strict-json.ts";

/** More keys than any issuer rotates through; a token without `kid` may be tried with each of them. */
export const MAX_KEYS = 100;

/** The public half of one JSON Web Key (RFC 7517), or a secret (`oct`): what is needed to verify, and nothing else. */
export interface JsonWebKeySpec {
  readonly kty: string;
  readonly kid?: string;
  readonly alg?: string;
  readonly crv?: string;
  readonly x?: string;
  readonly y?: string;
  readonly n?: string;
  readonly e?: string;
  /** A shared secret. It is never written out. */
  readonly k?: string;
}

const MEMBERS = ["kty", "kid", "alg", "crv", "x", "y", "n", "e", "k"] as const;
/** What each type cannot do without (RFC 7518 section 6, RFC 8037 section 2). */
const REQUIRED: ReadonlyMap<string, readonly (typeof MEMBERS)[number][]> = new Map([
  ["RSA", ["n", "e"]], ["EC", ["crv", "x", "y"]], ["OKP", ["crv", "x"]], ["oct", ["k"]],
]);

/**
 * The keys of a JSON Web Key Set that verify signatures, in their order; null when the text is no key set, or one of
 * more than 100 keys. Keys for other uses, of unknown types or without what their type needs are passed over (RFC 7517
 * section 5); private parts are left behind.
 *
 * @param allowsSecrets false for a set that was fetched: a secret that is published is none, and a signature made with
 *   it proves nothing.
 */
export function readKeySet(text: string, allowsSecrets: boolean): JsonWebKeySpec[] | null {
  const keys = parseStrictObject(text)?.["keys"];
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) return null;
  return keys.flatMap((key: unknown) => readKey(key, allowsSecrets) ?? []);
}

/** Why no token is believed by this key, or null: RFC 7518 sections 3.2 to 3.5 ask for 2048 bits of RSA, and a secret as long as its hash. */
export function keyWeakness({ kty, n = "", k = "" }: JsonWebKeySpec): string | null {
  if (kty === "oct") return Buffer.byteLength(k, "base64url") < 32 ? "a secret has 32 bytes or more, as long as the hash it is for" : null;
  if (kty !== "RSA") return null;
  const modulus = Buffer.from(n, "base64url").toString("hex").replace(/^0+/, "");
  return modulus.length * 4 < 2048 ? "an RSA key has 2048 bits or more" : null;
}

function readKey(value: unknown, allowsSecrets: boolean): JsonWebKeySpec | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const fields = value as Readonly<Record<string, unknown>>;
  const read: Partial<Record<(typeof MEMBERS)[number], string>> = {};
  for (const name of MEMBERS) {
    const member = fields[name];
    if (member === undefined || member === null) continue;
    if (typeof member !== "string") return null;
    read[name] = member;
  }
  const { kty } = read;
  const required = kty === undefined ? undefined : REQUIRED.get(kty);
  if (kty === undefined || required === undefined || required.some((name) => (read[name] ?? "") === "")) return null;
  if (!verifiesSignatures(fields) || (kty === "oct" && !allowsSecrets)) return null;
  if (kty !== "oct") delete read.k;
  return { ...read, kty };
}

/** RFC 7517 sections 4.2 and 4.3: whoever says what a key is for excludes the rest. */
function verifiesSignatures({ use, key_ops: operations }: Readonly<Record<string, unknown>>): boolean {
  if (use !== undefined && use !== "sig") return false;
  return operations === undefined || (Array.isArray(operations) && operations.includes("verify"));
}
