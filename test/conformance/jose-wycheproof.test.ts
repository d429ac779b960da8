import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

import { readKeySet } from "../../src/core/json-web-key-set.ts";
import { loadJose } from "../../src/filter/jose.ts";
import { isFailure } from "../../src/filter/jwt-failure.ts";
import { JwtKeys } from "../../src/filter/jwt-keys.ts";
import { parseToken } from "../../src/filter/jwt-token.ts";

/*
 * Wycheproof's vectors for JSON Web Signatures and Keys: what others have accepted and should not have. Their payloads are
 * any bytes, so a token is judged by its form, its header and its signature; claims are no part of it.
 */

interface Vector {
  readonly tcId: number;
  readonly comment: string;
  readonly jws?: string;
  readonly result: "valid" | "invalid";
}

interface Group {
  readonly comment: string;
  readonly public?: Key;
  readonly private: Key;
  readonly tests: readonly Vector[];
}

type Key = Readonly<Record<string, unknown>>;

const folder = join("..", "shared", "corpora", "wycheproof-jose", "testvectors_v1");
const isThere = existsSync(folder);
if (!isThere) process.stdout.write(`skipped: ${folder} is not there\n`);

/** Where we differ on purpose, by what a vector is about. */
const REFUSED: Readonly<Record<string, readonly number[]>> = {
  // The key says that it is for another algorithm, or for one that does not exist (`ES521`): RFC 8725 section 3.1.
  json_web_signature_test: [346, 347, 350, 351, /* a character that is none of base64url's */ 372],
};
const BELIEVED: Readonly<Record<string, readonly number[]>> = {
  // Its encoding is as RFC 7515 has it.
  json_web_signature_test: [370],
  // Secrets beside public keys, and two keys of one name: each is used for its own algorithms only. ROCA keys are not looked for.
  json_web_key_test: [1, 4, 7],
  json_web_crypto_test: [46, 47],
};

async function isBelieved(jws: string, key: Key): Promise<boolean> {
  const set = "keys" in key ? key : { keys: [key] };
  const keys = new JwtKeys(readKeySet(JSON.stringify(set), true) ?? []);
  const whole = parseToken(jws);
  // Of the payload only its encoding counts.
  if (isFailure(whole) && !/payload is an invalid JSON|payload \[/.test(whole.text)) return false;
  const parsed = isFailure(whole) ? parseToken(jws.replace(/\.[^.]*\./, ".e30.")) : whole;
  return !isFailure(parsed) && (await keys.verify({ ...parsed, text: jws })) === null;
}

describe.runIf(isThere)("Wycheproof", () => {
  beforeAll(loadJose);

  describe.each(["json_web_signature_test", "json_web_key_test", "json_web_crypto_test"])("%s", (file) => {
    const { testGroups } = isThere ? JSON.parse(readFileSync(join(folder, `${file}.json`), "utf8")) as { testGroups: readonly Group[] } : { testGroups: [] };
    const cases = testGroups.flatMap((group) => group.tests.flatMap((vector) => (typeof vector.jws === "string" ? [{ group, vector }] : [])));

    test("has vectors", () => {
      expect(cases.length).toBeGreaterThan(20);
    });

    test.each(cases.map(({ group, vector }) => [vector.tcId, group.comment, vector.comment, group, vector] as const))("%i %s: %s", async (id, _group, _comment, group, { jws = "", result }) => {
      const expected = REFUSED[file]?.includes(id) ? "invalid" : BELIEVED[file]?.includes(id) ? "valid" : result;
      expect(await isBelieved(jws, group.public ?? group.private) ? "valid" : "invalid").toBe(expected);
    });
  });
});
